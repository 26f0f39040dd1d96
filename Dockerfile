# One image for each program of a cluster: docker build --target coordinator . (worker-eval, worker-score, worker-train, cli)
#
# BUILD_IMAGE needs Rust and a C compiler on Debian, RUN_IMAGE a Debian of the same release.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p promptimal -p worker-eval -p worker-score -p worker-train --bins

FROM ${RUN_IMAGE} AS run
# Certificates for model servers and the hub; python3-pip is the way to the small model where no hub is reached, and brings
# the Python that runs programs of models in the sandbox. A new volume takes over the owner of the folder that it is mounted on.
RUN apt-get update \
    && apt-get install -qy --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --uid 10001 promptimal \
    && install -d -o promptimal /var/lib/promptimal/artefacts /home/promptimal/.cache
USER promptimal
WORKDIR /home/promptimal
ENV PROMPTIMAL_LOG_FORMAT=json

FROM run AS coordinator
COPY --from=build /src/target/release/coordinator /usr/local/bin/
# Inside a container the loopback interface reaches nobody.
ENV PROMPTIMAL_LISTEN=0.0.0.0:7700
EXPOSE 7700
HEALTHCHECK --interval=5s --timeout=6s --start-period=20s CMD ["coordinator", "--healthcheck"]
ENTRYPOINT ["coordinator"]

FROM run AS worker-eval
COPY --from=build /src/target/release/worker-eval /usr/local/bin/
ENV PROMPTIMAL_LISTEN=0.0.0.0:7701
HEALTHCHECK --interval=5s --timeout=6s --start-period=60s CMD ["worker-eval", "--healthcheck"]
ENTRYPOINT ["worker-eval"]

FROM run AS worker-score
COPY --from=build /src/target/release/worker-score /usr/local/bin/
ENV PROMPTIMAL_LISTEN=0.0.0.0:7702
# A large model takes its time to load.
HEALTHCHECK --interval=5s --timeout=6s --start-period=120s CMD ["worker-score", "--healthcheck"]
ENTRYPOINT ["worker-score"]

FROM run AS worker-train
COPY --from=build /src/target/release/worker-train /usr/local/bin/
ENV PROMPTIMAL_LISTEN=0.0.0.0:7703
# A large base takes its time to be read.
HEALTHCHECK --interval=5s --timeout=6s --start-period=120s CMD ["worker-train", "--healthcheck"]
ENTRYPOINT ["worker-train"]

FROM run AS cli
COPY --from=build /src/target/release/promptimal /usr/local/bin/
ENTRYPOINT ["promptimal"]
