-- The same rows, as tables that PostGraphile understands: views over the JSONB records of one account.
-- {account}, {contacts}, {companies}, {deals}, … are numbers, filled in by the benchmark.
DROP SCHEMA IF EXISTS peer CASCADE;
CREATE SCHEMA peer;

CREATE VIEW peer.contact AS
SELECT r.id, r.properties ->> 'firstname' AS firstname, r.properties ->> 'lastname' AS lastname,
       r.properties ->> 'email' AS email, r.properties ->> 'city' AS city
  FROM public.record AS r
 WHERE r.account_id = {account} AND r.object_type_id = {contacts} AND r.archived_at IS NULL;

CREATE VIEW peer.company AS
SELECT r.id, r.properties ->> 'name' AS name, r.properties ->> 'domain' AS domain,
       r.properties ->> 'industry' AS industry
  FROM public.record AS r
 WHERE r.account_id = {account} AND r.object_type_id = {companies} AND r.archived_at IS NULL;

CREATE VIEW peer.deal AS
SELECT r.id, r.properties ->> 'name' AS name, (r.properties ->> 'amount')::float8 AS amount
  FROM public.record AS r
 WHERE r.account_id = {account} AND r.object_type_id = {deals} AND r.archived_at IS NULL;

-- An edge is the unlabelled association; its labels are the other rows of the same pair.
CREATE VIEW peer.contact_company AS
SELECT a.from_id AS contact_id, a.to_id AS company_id FROM public.association AS a
 WHERE a.account_id = {account} AND a.to_object_type_id = {companies} AND a.type_id = {contact_company};

CREATE VIEW peer.contact_company_label AS
SELECT a.from_id AS contact_id, a.to_id AS company_id, a.type_id AS type_id, t.name, t.label
  FROM public.association AS a
  JOIN public.association_type AS t ON t.account_id = {account} AND t.id = a.type_id
 WHERE a.account_id = {account} AND a.to_object_type_id = {companies} AND a.type_id <> {contact_company}
   AND t.from_object_type_id = {contacts};

CREATE VIEW peer.company_deal AS
SELECT a.from_id AS company_id, a.to_id AS deal_id FROM public.association AS a
 WHERE a.account_id = {account} AND a.to_object_type_id = {deals} AND a.type_id = {company_deal};

CREATE VIEW peer.company_deal_label AS
SELECT a.from_id AS company_id, a.to_id AS deal_id, a.type_id AS type_id, t.name, t.label
  FROM public.association AS a
  JOIN public.association_type AS t ON t.account_id = {account} AND t.id = a.type_id
 WHERE a.account_id = {account} AND a.to_object_type_id = {deals} AND a.type_id <> {company_deal}
   AND t.from_object_type_id = {companies};

COMMENT ON VIEW peer.contact IS E'@primaryKey id';
COMMENT ON VIEW peer.company IS E'@primaryKey id';
COMMENT ON VIEW peer.deal IS E'@primaryKey id';
COMMENT ON VIEW peer.contact_company IS
  E'@primaryKey contact_id,company_id\n@foreignKey (contact_id) references peer.contact (id)|@foreignFieldName companies\n@foreignKey (company_id) references peer.company (id)|@fieldName company';
COMMENT ON VIEW peer.contact_company_label IS
  E'@primaryKey contact_id,company_id,type_id\n@foreignKey (contact_id,company_id) references peer.contact_company (contact_id,company_id)|@foreignFieldName labels';
COMMENT ON VIEW peer.company_deal IS
  E'@primaryKey company_id,deal_id\n@foreignKey (company_id) references peer.company (id)|@foreignFieldName deals\n@foreignKey (deal_id) references peer.deal (id)|@fieldName deal';
COMMENT ON VIEW peer.company_deal_label IS
  E'@primaryKey company_id,deal_id,type_id\n@foreignKey (company_id,deal_id) references peer.company_deal (company_id,deal_id)|@foreignFieldName labels';
