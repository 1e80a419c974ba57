# The Reverie daemon as an image: built in one stage, run in another that holds nothing but the binary, which
# carries the built-in checkpoint.
#
#     docker build --tag reverie .
#     docker run --rm --publish 8000:8000 reverie
#
# A GPU image is the same file with other bases and features: deploy/README.md, "CUDA".
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
ARG FEATURES=""
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY assets assets
COPY proto proto
COPY model model
COPY server server
COPY tests tests
# The caches keep the registry and every compiled dependency from one build to the next; nothing of them is in an image.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package reverie-server --features "${FEATURES}" \
    && install -D target/release/reverie /out/reverie

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/reverie /usr/local/bin/reverie
COPY LICENSE /usr/share/doc/reverie/LICENSE

# The built-in checkpoint is served until REVERIE_MODEL names another one, mounted at /models. It is unpacked into /tmp;
# nothing else is ever written, so the root may be read-only.
ENV REVERIE_HOST=0.0.0.0 \
    REVERIE_PORT=8000 \
    REVERIE_PROBE_PORT=8001 \
    REVERIE_CACHE_DIR=/tmp/reverie
VOLUME ["/models"]
EXPOSE 8000 8001
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["reverie", "health"]
ENTRYPOINT ["reverie"]
CMD ["serve"]
