# Tagboat as an image: `tagboat serve`, or `tagboat ingress run`. contrib/compose.yaml runs both, each
# in its own container; docs/installing.md explains it.
FROM debian:bookworm-slim AS build
# More authorities to trust while packages are fetched, as PEM, for a proxy that opens TLS. The image has none of them.
ARG AUTHORITIES=""
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && printf '%s\n' "$AUTHORITIES" >>/etc/ssl/certs/ca-certificates.crt
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
WORKDIR /source
COPY requirements-server.lock ./
# What builds Tagboat is in this lock too, so that nothing is fetched without a hash.
RUN python3 -m venv /opt/tagboat \
 && /opt/tagboat/bin/pip install --no-cache-dir --require-hashes -r requirements-server.lock
COPY LICENSE README.md pyproject.toml ./
COPY contrib contrib
COPY src src
RUN /opt/tagboat/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/tagboat/bin/pip uninstall -y -q editables hatchling packaging pathspec pluggy tomlkit trove-classifiers \
 && /opt/tagboat/bin/pip uninstall -y -q setuptools pip

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates haproxy python3 tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 970 --user-group --home-dir /var/lib/tagboat --shell /usr/sbin/nologin tagboat \
 && install -d -o tagboat -g tagboat -m 0700 /var/lib/tagboat /var/lib/tagboat/ingress
COPY --from=build /opt/tagboat /opt/tagboat
ENV PATH=/opt/tagboat/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    TAGBOAT_DATA_DIR=/var/lib/tagboat
USER tagboat
WORKDIR /var/lib/tagboat
# As process 1 it collects HAProxy's workers that have lost their master.
ENTRYPOINT ["tini", "--", "tagboat"]
CMD ["serve"]
