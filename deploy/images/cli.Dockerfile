# syntax=docker/dockerfile:1.7
# The myspinbot command: a client for any deployment, and its provisioning
#
#   docker build -f deploy/images/cli.Dockerfile -t myspinbot/cli .
#
# Expected size: 420 MB, of which some 125 MB are Debian and Python and 298 MB ours (measured by install.sh).
# 130 MB of that are the broker and the object store, which `myspinbot up` starts.
# The base is pinned by digest; `docker buildx imagetools inspect python:3.11-slim-bookworm` tells a
# newer one, which every file in this folder is to have.
ARG BASE=python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${BASE} AS build
WORKDIR /build
COPY deploy/images/install.sh .
COPY requirements/build.txt requirements/cli.txt requirements/
COPY contracts contracts
COPY cli cli
RUN --mount=type=cache,target=/root/.cache/pip \
    sh install.sh cli /opt/myspinbot contracts cli

FROM ${BASE} AS service
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="myspinbot-cli" \
      org.opencontainers.image.description="The myspinbot command: a client for any deployment, and its provisioning" \
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
ENTRYPOINT ["myspinbot"]
