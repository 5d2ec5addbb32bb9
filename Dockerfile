# The API and the workers. The database is a server of its own (docker-compose.yml): no binaries of one are in here.
FROM python:3.13-slim AS build
WORKDIR /source
RUN python -m venv /opt/relata
ENV PATH=/opt/relata/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Dependencies first: they change less often than the code, and Docker keeps the layer.
COPY deploy/requirements.lock deploy/requirements.lock
RUN pip install --compile --require-hashes -r deploy/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schema schema
COPY resolvers resolvers
COPY engine engine
COPY storage storage
COPY server server
RUN pip install --compile --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home relata
COPY --from=build /opt/relata /opt/relata
# No workers beside the API: they are containers of their own.
ENV PATH=/opt/relata/bin:$PATH PYTHONUNBUFFERED=1 RELATA_HOST=0.0.0.0 RELATA_WORKERS=0 RELATA_LOG_FORMAT=json
USER relata
WORKDIR /home/relata
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["relata", "serve"]
