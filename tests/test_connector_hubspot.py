"""HubSpot is held to the laws of connectors with four of its objects, against the stand-in."""

from collections.abc import Iterator

import pytest

from tests.connector_laws import ConnectorLaws, Partner
from tests.hubspot_people import HubSpotPartner
from tests.hubspot_portal import CARS, portal
from tests.hubspot_server import Server, served
from tests.hubspot_standin import Portal


@pytest.fixture
def account() -> Iterator[Portal]:
    made = portal()
    yield made
    assert made.broken == [], "the stand-in knows what to answer"


@pytest.fixture
def server(account: Portal) -> Iterator[Server]:
    with served(account) as found:
        yield found


class TestContacts(ConnectorLaws):
    @pytest.fixture
    def partner(self, account: Portal, server: Server) -> Partner:
        return HubSpotPartner(account, server, "contacts", "jobtitle")


class TestCompanies(ConnectorLaws):
    @pytest.fixture
    def partner(self, account: Portal, server: Server) -> Partner:
        return HubSpotPartner(account, server, "companies", "description")


class TestDeals(ConnectorLaws):
    @pytest.fixture
    def partner(self, account: Portal, server: Server) -> Partner:
        return HubSpotPartner(account, server, "deals", "dealname")


class TestCustomObjects(ConnectorLaws):
    """These have the property for keys, too."""

    @pytest.fixture
    def partner(self, account: Portal, server: Server) -> Partner:
        return HubSpotPartner(account, server, CARS, "model")
