# The worker and the web pages of docker-compose.yml: one image, one user without rights, nothing built at run time.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY panpan panpan
COPY db db
COPY transforms transforms
COPY metabase metabase
COPY backups backups
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.11-slim
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN groupadd --gid 10001 panpan && useradd --uid 10001 --gid panpan --no-create-home --shell /usr/sbin/nologin panpan
COPY requirements.lock /tmp/requirements.lock
RUN pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock && rm /tmp/requirements.lock
COPY --from=build /dist /tmp/dist
RUN pip install --no-deps --no-index /tmp/dist/*.whl && rm -r /tmp/dist
# A new named volume takes these folders with their owner and rights over; n8n, another user, reads the inbox alone.
RUN mkdir -p -m 0755 /srv/panpan/inbox \
    && for name in formatted archive sources logs run; do mkdir -m 0700 "/srv/panpan/$name"; done \
    && chown -R panpan:panpan /srv/panpan
USER panpan
WORKDIR /srv/panpan
ENTRYPOINT ["python", "-P", "-m"]
CMD ["panpan", "--help"]
