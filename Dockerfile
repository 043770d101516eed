# The image: one volume (/data) and one process, which does not run as root. `scripts/image-check`
# builds it and checks the layout, without a Docker engine.

ARG BUILD_IMAGE=rust:1-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
# The two caches keep downloads and compiled crates between builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo install --locked --profile dist --path . --root /out

FROM ${RUN_IMAGE}
RUN groupadd --gid 10001 creel \
    && useradd --uid 10001 --gid creel --home-dir /data --no-create-home --shell /usr/sbin/nologin creel \
    && install --directory --owner creel --group creel --mode 0700 /data
# For HTTPS requests that creel makes, e.g. for address lists.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/bin/creel /usr/local/bin/creel

ENV CREEL_LISTEN=0.0.0.0:8080 \
    CREEL_DATABASE=/data/creel.db
# Numeric ids, so that an orchestrator can verify that the user is not root.
USER 10001:10001
WORKDIR /data
VOLUME /data
# compose.yaml adds 9090 for the API (CREEL_ADMIN_LISTEN).
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["creel", "healthcheck"]
ENTRYPOINT ["creel"]
CMD ["serve"]
