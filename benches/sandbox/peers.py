"""One peer of the sandbox bench behind a pipe: a JSON request a line on stdin, a JSON answer a line on stdout.

Started as `peers.py PEER IMAGE [SERVER]`. Every peer is used through its own public interface. Seconds are
measured here, around the peer's calls, so the pipe costs nothing. A request that fails answers {"error": …}.
"""

import asyncio
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

LABEL = "apprentice-bench"
NETWORK = "apprentice-bench"
PATIENCE_SECONDS = 240


class Mini:
    """mini-swe-agent: `docker run`, then a `docker exec` for each command."""

    def __init__(self, image):
        from minisweagent.environments.docker import DockerEnvironment

        run_args = ["--rm", "--network", "none", "--label", LABEL]
        self.environment = DockerEnvironment(image=image, run_args=run_args, interpreter=["bash", "-c"])

    def run(self, script):
        answer = self.environment.execute({"command": script})
        return answer["returncode"], answer["output"]

    def stop(self):
        # Its own clean-up goes on in the background, where it would disturb what is measured next.
        subprocess.run(["docker", "rm", "-f", self.environment.container_id], check=True, capture_output=True)
        self.environment.container_id = None


class DockerPy:
    """docker-py: a container that sleeps, and its `exec_run` for each command."""

    client = None

    def __init__(self, image):
        import docker

        DockerPy.client = DockerPy.client or docker.from_env(max_pool_size=64)
        self.image = None
        self.container = self.client.containers.create(
            image, ["sleep", "2h"], network_mode="none", labels=[LABEL], init=False
        )
        self.container.start()

    def run(self, script):
        answer = self.container.exec_run(["bash", "-c", script])
        return answer.exit_code, answer.output.decode()

    def put(self, directory, inside):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(directory, arcname=inside.lstrip("/"))
        self.container.put_archive("/", packed.getvalue())

    def fork(self):
        image = self.container.commit()
        child = DockerPy(image.id)
        child.image = image
        return child

    def stop(self):
        self.container.remove(force=True)
        if self.image is not None:
            self.client.images.remove(self.image.id)


class Rex:
    """SWE-ReX: a server in the container. One event loop a sandbox: several starts in one loop block each other."""

    def __init__(self, image):
        from swerex.deployment.docker import DockerDeployment

        self.loop = asyncio.new_event_loop()
        self.deployment = DockerDeployment(
            image=image, pull="never", docker_args=["--network", NETWORK, "--label", LABEL]
        )
        try:
            self.wait(self.deployment.start())
            self.open()
        except BaseException:
            self.stop()
            raise

    def wait(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_SECONDS))

    def stop(self):
        self.wait(self.deployment.stop())
        self.loop.close()


class RexSession(Rex):
    """Its bash session."""

    def open(self):
        from swerex.runtime.abstract import CreateBashSessionRequest

        self.wait(self.deployment.runtime.create_session(CreateBashSessionRequest()))

    def run(self, script):
        from swerex.runtime.abstract import BashAction

        answer = self.wait(self.deployment.runtime.run_in_session(BashAction(command=script, timeout=60)))
        return answer.exit_code, answer.output


class RexExecute(Rex):
    """Its stateless execute."""

    def open(self):
        pass

    def run(self, script):
        from swerex.runtime.abstract import Command

        answer = self.wait(self.deployment.runtime.execute(Command(command=["bash", "-c", script], timeout=60)))
        return answer.exit_code, answer.stdout


PEERS = {"mini": Mini, "docker-py": DockerPy, "rex-session": RexSession, "rex-execute": RexExecute}


class Bench:
    """The open sandbox of one peer, and what can be asked of it."""

    def __init__(self, peer, image):
        self.peer, self.image, self.sandbox = peer, image, None

    def start(self):
        begin = time.perf_counter()
        self.sandbox = self.peer(self.image)
        succeed(self.sandbox, "true", 0)
        return {"seconds": [time.perf_counter() - begin]}

    def run(self, script, times, at_least):
        return {"seconds": [succeed(self.sandbox, script, at_least) for _ in range(times)]}

    def stop(self):
        sandbox, self.sandbox = self.sandbox, None
        if sandbox is not None:
            sandbox.stop()
        return {}

    def crowd(self, size, script, times):
        crowd = [Bench(self.peer, self.image) for _ in range(size)]
        with ThreadPoolExecutor(size) as threads:
            try:
                starts = list(threads.map(lambda one: one.start()["seconds"][0], crowd))
                begin = time.perf_counter()
                list(threads.map(lambda one: one.run(script, times, 0), crowd))
                return {"starts": starts, "seconds": [time.perf_counter() - begin]}
            finally:
                list(threads.map(lambda one: one.stop(), crowd))

    def hold(self, directory, inside, script):
        self.sandbox = self.peer(self.image)
        self.sandbox.put(directory, inside)
        succeed(self.sandbox, script, 0)
        return {}

    def fork(self, script):
        begin = time.perf_counter()
        child = self.sandbox.fork()
        try:
            succeed(child, script, 0)
            return {"seconds": [time.perf_counter() - begin]}
        finally:
            child.stop()


def succeed(sandbox, script, at_least):
    """Runs a script that must succeed and print so many bytes; gives the seconds."""
    begin = time.perf_counter()
    code, output = sandbox.run(script)
    seconds = time.perf_counter() - begin
    if code != 0 or len(output) < at_least:
        raise RuntimeError(f"`{script}` gave exit code {code} and {len(output)} bytes: {output[:200]}")
    return seconds


def with_server(image, server):
    """An image like `image` that holds SWE-ReX's server, and a network that publishes on loopback only."""
    import docker

    client = docker.from_env()
    if not client.networks.list(names=[NETWORK]):
        loopback = {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"}
        client.networks.create(NETWORK, driver="bridge", options=loopback)
    repository, tag = "apprentice-bench/swerex", f"{os.path.basename(server)}-{image.rsplit(':', 1)[1]}"
    if client.images.list(f"{repository}:{tag}"):
        return f"{repository}:{tag}"
    container = client.containers.create(image, ["sleep", "1"])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(server, arcname="opt/swerex", filter=whole_seconds)
        start = b"#!/bin/sh\nPYTHONPATH=/opt/swerex exec python3 -m swerex.server \"$@\"\n"
        entry = tarfile.TarInfo("usr/local/bin/swerex-remote")
        entry.mode, entry.size = 0o755, len(start)
        archive.addfile(entry, io.BytesIO(start))
    container.put_archive("/", packed.getvalue())
    container.commit(repository, tag)
    container.remove()
    return f"{repository}:{tag}"


def whole_seconds(entry):
    """Python takes compiled modules for stale when an engine rounds the time of their source."""
    entry.mtime = int(entry.mtime)
    return entry


def remove_network():
    """Removes the network; the driver that ends first does it for both."""
    import docker

    try:
        docker.from_env().networks.get(NETWORK).remove()
    except docker.errors.APIError as error:
        print(f"the network was not removed: {error}", file=sys.stderr)


def main():
    # Peers print: only our answers may reach the pipe.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer, image = sys.argv[1:3]
    bench = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if bench is None:
                image = with_server(image, sys.argv[3]) if len(sys.argv) > 3 else image
                bench = Bench(PEERS[peer], image)
            answer = getattr(bench, request.pop("ask"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    if bench is not None:
        bench.stop()
        if len(sys.argv) > 3:
            remove_network()


if __name__ == "__main__":
    main()
