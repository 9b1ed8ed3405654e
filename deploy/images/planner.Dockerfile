# syntax=docker/dockerfile:1.7
# Decides what happens next in every job of MySpinBot; makes its streams
#
#   docker build -f deploy/images/planner.Dockerfile -t myspinbot/planner .
#
# Expected size: 173 MB, of which some 125 MB are Debian and Python and 48 MB ours (measured by install.sh).
# The base is pinned by digest; `docker buildx imagetools inspect python:3.11-slim-bookworm` tells a
# newer one, which every file in this folder is to have.
ARG BASE=python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE} AS build
WORKDIR /build
COPY deploy/images/install.sh .
COPY requirements/build.txt requirements/planner.txt requirements/
COPY contracts contracts
COPY services/planner services/planner
RUN --mount=type=cache,target=/root/.cache/pip \
    sh install.sh planner /opt/myspinbot contracts services/planner

FROM ${BASE} AS service
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="myspinbot-planner" \
      org.opencontainers.image.description="Decides what happens next in every job of MySpinBot; makes its streams" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
RUN groupadd --gid 10001 myspinbot \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/myspinbot --shell /usr/sbin/nologin myspinbot \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/myspinbot
COPY --from=build /opt/myspinbot /opt/myspinbot
ENV PATH=/opt/myspinbot/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/myspinbot
USER 10001:10001
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-m", "servicekit.probe", "9100"]
ENTRYPOINT ["myspinbot-planner"]

# For compose.dev.yml: restarts at each change of the source that is mounted, and a debugger can attach.
FROM service AS debug
USER 0:0
COPY requirements/debug.txt /tmp/debug.txt
# Whatever Debian has now is good enough to work with.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client procps \
    && rm -rf /var/lib/apt/lists/*
RUN python -m pip --python /opt/myspinbot/bin/python install --no-cache-dir --no-deps --require-hashes -r /tmp/debug.txt
USER 10001:10001

FROM service
