# Sentinel, for every stage: `docker build -t sentinel .`, then `docker run sentinel worker detect`.
# docker-compose.yml builds it too.
#
# Packages are those of uv.lock, checked by hash. The container runs as user 10001 and writes only
# to /var/lib/sentinel, so its root file system may be read-only.

# The Python and Debian that the tests run on.
ARG PYTHON=3.11.14-slim-bookworm

FROM node:22.21.1-bookworm-slim AS page
WORKDIR /page
COPY topology/page/package.json topology/page/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
# As the Makefile does.
RUN mkdir vendor \
 && cp node_modules/uplot/dist/uPlot.esm.js node_modules/uplot/dist/uPlot.min.css vendor \
 && cp node_modules/uplot/LICENSE vendor/uPlot.LICENSE.txt

FROM python:${PYTHON} AS build
# Compiles the native decoder and the judge; the image itself has no compiler.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
# The Makefile's version.
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.8
WORKDIR /src
# Dependencies change less often than the source, so they have a layer of their own.
COPY pyproject.toml hatch_build.py uv.lock README.md LICENSE ./
RUN uv export --quiet --locked --no-dev --no-emit-project --output-file /tmp/pins.txt \
 && uv venv /opt/sentinel --python "$(command -v python)" \
 && uv pip install --no-cache --python /opt/sentinel/bin/python \
      --require-hashes --no-build --compile-bytecode -r /tmp/pins.txt
COPY schemas schemas
COPY streams streams
COPY agents agents
COPY connectors connectors
COPY topology topology
COPY docs docs
COPY --from=page /page/vendor topology/page/static/vendor
RUN uv build --wheel --out-dir /tmp/dist \
 && uv pip install --no-cache --python /opt/sentinel/bin/python \
      --no-deps --compile-bytecode /tmp/dist/*.whl

FROM python:${PYTHON}
RUN groupadd --gid 10001 sentinel \
 && useradd --uid 10001 --gid sentinel --no-create-home --home-dir /var/lib/sentinel \
      --shell /usr/sbin/nologin sentinel \
 && install --directory --owner sentinel --group sentinel --mode 700 /var/lib/sentinel
COPY --from=build /opt/sentinel /opt/sentinel
ENV PATH=/opt/sentinel/bin:$PATH PYTHONUNBUFFERED=1 SENTINEL_WORKER__HEALTH_PORT=9100
# The framework creates an empty folder in its working directory.
WORKDIR /var/lib/sentinel
USER 10001:10001
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", \
       "import urllib.request as r; r.urlopen('http://127.0.0.1:9100/live', timeout=4)"]
ENTRYPOINT ["sentinel"]
CMD ["--help"]
