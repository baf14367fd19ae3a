"""How fast links are fetched from a server that takes 50 ms to answer, at 32 connections.

    python benchmarks/links.py [--links 4000] [--bytes 16384] [--latency-ms 50] [--connections 32] [--profile]

The server, in a process of its own on this machine, waits before each answer. Ideal is what the latency alone allows:
links / connections x latency. Prints the share of it that is reached, and the CPU seconds of this process: ideal / CPU
seconds is what a machine that runs nothing else can reach at most. The reference, before and after, are as many threads
with a bare socket each, which ask for the same and keep nothing.
"""

import argparse
import cProfile
import multiprocessing
import pstats
import resource
import socket
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from curate.corpus.fetched import LINKS, FetchRecord, link_copy, link_key
from curate.stages.ingest.urls.fetch import Link, fetch_links
from curate.stages.ingest.urls.settings import Urls


def serve(pipe: Connection, size: int, latency_s: float) -> None:
    import asyncio

    body = bytes(range(256)) * (size // 256)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/x-wav\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(latency_s)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def ask_barely(port: int, links: int, connections: int) -> float:
    """Return the seconds that bare sockets take to ask for as many links."""
    numbers = iter(range(links))
    guard = threading.Lock()

    def work() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as replies:
            while True:
                with guard:
                    number = next(numbers, None)
                if number is None:
                    return
                connection.sendall(f"GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                length = 0
                while (line := replies.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    length = int(value) if name == b"Content-Length" else length
                replies.read(length)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=4_000)
    parser.add_argument("--bytes", type=int, default=16_384)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    latency_s = options.latency_ms / 1_000
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, options.bytes, latency_s), daemon=True
    )
    server.start()
    port = ours.recv()
    ideal = options.links / options.connections * latency_s
    bare = [ask_barely(port, options.links, options.connections)]
    with TemporaryDirectory() as folder:
        record = FetchRecord(Path(folder) / "fetched.sqlite")
        urls = [f"http://127.0.0.1:{port}/{number}.wav" for number in range(options.links)]
        links = [Link(url, link_key(url), link_copy(record.path, url), None) for url in urls]
        settings = Urls(links=tuple(urls), connections=options.connections, per_host=options.connections)
        profile = cProfile.Profile()
        began, cpu = time.monotonic(), cpu_s()
        if options.profile:
            profile.enable()
        fetch_links(links, settings, record, kind=LINKS, basis="", day="", allows_private=True)
        profile.disable()
        seconds, cpu = time.monotonic() - began, cpu_s() - cpu
        outcomes = [value["outcome"] for _, value in record.all(LINKS)]
    bare.append(ask_barely(port, options.links, options.connections))
    server.terminate()
    assert outcomes.count("ok") == options.links, outcomes[:3]
    print(
        f"{options.links:,} links of {options.bytes:,} bytes, {options.connections} connections, {latency_s:g} s each"
    )
    print(f"ideal {ideal:6.2f} s; fetched in {seconds:6.2f} s: {ideal / seconds:.2f} of ideal")
    print(f"bare sockets {min(bare):6.2f} s and {max(bare):6.2f} s: {ideal / min(bare):.2f} of ideal")
    print(f"CPU {cpu:6.2f} s, {cpu / options.links * 1e3:.2f} ms a link: at most {min(1, ideal / cpu):.2f} of ideal")
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
