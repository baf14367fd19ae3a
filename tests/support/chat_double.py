"""A server that speaks the wire protocol of OpenAI, answers what the schema asks for, and fails as it is told to.

In a test, on a thread of its own::

    with ChatDouble() as double:
        double.on("item 7", status(429, retry_after="0"), hang())    # two tries fail, the third is answered
        ...                                                           # OPENAI_BASE_URL=double.url, any key
        assert double.answered["item 7"] == 1

As a process of its own, for benchmarks (``GET /double`` tells what it has seen)::

    python -m tests.support.chat_double --latency 0.4
"""

import argparse
import array
import asyncio
import base64
import contextlib
import hashlib
import json
import math
import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.support.chat_faults import Fault, error_body, expired_key, status
from tests.support.chat_rules import PARAMETERS, Refused, check_format, check_part, value_of


class Call(NamedTuple):
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    at: float

    @property
    def text(self) -> str:
        """All the text that the last message carries."""
        return text_of(self.body)


def text_of(body: Any) -> str:
    """The text of the last message of a chat request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def body_hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


class BatchPlan(NamedTuple):
    """What becomes of a batch: its last state, the share of its lines that are answered, and how often it is polled."""

    state: str = "completed"
    share: float = 1.0
    polls: int = 2
    doubled: bool = False
    """The output file holds every line twice."""
    reply: Fault | None = None
    """What happens to the answer to its submission; the batch is made all the same."""


class ChatDouble:
    """The server and what it has seen.

    ``sent`` and ``answered`` count chat requests, by the hash of their body and by their last message's text; answered
    are those whose whole answer was handed to a connection that was still open (or written into a batch's output).
    Texts to embed are counted in ``sent``, and requests for embeddings in ``done`` once their vectors are made.
    """

    def __init__(
        self,
        *,
        latency_s: float = 0.0,
        models: Iterable[str] = ("gpt-5-mini", "gpt-5-nano", "gpt-5", "gpt-4o-mini", "text-embedding-3-small"),
        key: str | None = None,
        capacity: int | None = None,
        headers: Mapping[str, str] | None = None,
        keep: bool = True,
        seed: int = 0,
    ) -> None:
        self.latency_s, self.models, self.key, self.capacity = latency_s, tuple(models), key, capacity
        self.headers, self.keep, self.seed = dict(headers or {}), keep, seed
        self.calls: list[Call] = []
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        """Tokens the provider would charge for: in, out."""
        self.requests = self.done = self.in_flight = self.most_in_flight = 0
        self.held = 0
        """Requests other than for chat that were left hanging"""
        self.allowance: int | None = None
        """How many more requests for chat or embeddings are answered; further ones hang. None: all of them."""
        self.stalled = 0
        """Requests that hang because the allowance is used up"""
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.plans: deque[BatchPlan] = deque()
        self.answer: Callable[[dict[str, Any]], str] | None = None
        """Text to answer a request with, instead of a value of its schema."""
        self.vector: Callable[[str], Any] = vector_of
        """The embedding of a text; raises ``Refused``."""
        self.usage: Mapping[str, Any] | None = None
        self._next: deque[Fault] = deque()
        self._marked: dict[str, deque[Fault]] = {}
        self._paths: dict[str, deque[Fault]] = {}
        self._values: dict[str, str] = {}
        self._shapes: set[str] = set()
        self._numbers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """As ``OPENAI_BASE_URL`` wants it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def then(self, *faults: Fault) -> None:
        """The next chat requests, whichever they are, meet these faults, one each."""
        self._next.extend(faults)

    def on(self, fragment: str, *faults: Fault) -> None:
        """Chat requests whose body holds this (ASCII) text meet these faults, one each, and then go well."""
        self._marked.setdefault(fragment, deque()).extend(faults)

    def on_path(self, path: str, *faults: Fault) -> None:
        """Requests to other paths (``GET /v1/batches/*``) meet these faults; ``charged``: done all the same."""
        self._paths.setdefault(path, deque()).extend(faults)

    def plan(self, *plans: BatchPlan) -> None:
        """What becomes of the next batches."""
        self.plans.extend(plans)

    # -- running

    def __enter__(self) -> "ChatDouble":
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._over.set)
        if self._thread is not None:
            self._thread.join(10)

    async def serve(self, port: int) -> None:
        """Serve until cancelled; prints the address as JSON once it is open."""
        await self._run(None, port)

    async def _run(self, ready: threading.Event | None, port: int = 0) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=2**20, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        if ready is not None:
            ready.set()
        else:
            print(json.dumps({"url": self.url}), flush=True)
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines if one)
        }
        if headers.get("transfer-encoding") == "chunked":
            data = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                data += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            data = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        if path == "/v1/chat/completions" and method == "POST":
            return await self._chat(headers, data, reader, writer)
        if path == "/v1/embeddings" and self._stalls():
            await reader.read(1)
            return False
        made: Fault | None = None
        call = f"{method} {path}"
        waiting = next((faults for name, faults in self._paths.items() if faults and fnmatchcase(call, name)), None)
        fault = waiting.popleft() if waiting else None
        if fault is None or fault.charged:
            made = self._other(method, path, query, headers, data)
            if fault is None:
                fault = made
            elif fault.body is None and made.body is not None:
                fault = replace(fault, status=made.status, body=made.body)
        self.held += fault.hang
        if path == "/v1/embeddings":
            await asyncio.sleep(self.latency_s)
        return await self._send(fault, fault.body or b"{}", headers, reader, writer)

    # -- chat

    async def _chat(
        self, headers: dict[str, str], data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            body = json.loads(data)
            names = self._names(body)
            if self.keep:
                self.calls.append(Call("POST", "/v1/chat/completions", headers, body, time.monotonic()))
                self.sent.update(names)
            if self._stalls():
                await reader.read(1)
                return False
            fault = self._fault(data)
            if fault is None:
                fault = self._unwelcome(headers)
            fault, payload = self._reply(body, data, fault or Fault(charged=True))
            if self.latency_s and fault.status == 200:
                await asyncio.sleep(self.latency_s)
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            whole = fault.status == 200 and fault.cut_after is None and not fault.hang
            # Counted before it is sent: a client that has read it may look at the count at once.
            if whole and not reader.at_eof():
                self.done += 1
                self.answered.update(names)
            return await self._send(fault, payload, headers, reader, writer)
        finally:
            self.in_flight -= 1

    def _stalls(self) -> bool:
        if self.allowance is None:
            return False
        if self.allowance > 0:
            self.allowance -= 1
            return False
        self.stalled += 1
        return True

    def _names(self, body: Any) -> list[str]:
        if not self.keep:
            return []
        try:
            return [body_hash(body), text_of(body)]
        except (KeyError, IndexError, TypeError, AttributeError):
            return [body_hash(body)]

    def _fault(self, data: bytes) -> Fault | None:
        if self._next:
            return self._next.popleft()
        for fragment, faults in self._marked.items():
            if faults and fragment.encode() in data:
                return faults.popleft()
        return None

    def _unwelcome(self, headers: Mapping[str, str]) -> Fault | None:
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            return expired_key()
        if self.capacity is not None and self.in_flight > self.capacity:
            return status(429)
        return None

    def _reply(self, body: Any, data: bytes, fault: Fault) -> tuple[Fault, bytes]:
        """The fault that happens and the body to send: a good answer, changed where the fault says so."""
        if fault.body is not None:
            if fault.charged:
                self._charge(body, "", _usage_in(fault.body))
            return fault, fault.body
        try:
            self._check(body, data)
            text = self._text(body) if fault.message is None or "content" not in fault.message else ""
        except Refused as error:
            return Fault(400, error_body(str(error), error.code)), error_body(str(error), error.code)
        message = {"role": "assistant", "content": text, "refusal": None, **(fault.message or {})}
        usage = self.usage or self._charge(body, message["content"] or "")
        self._numbers += 1
        answer = {
            "id": f"chatcmpl-{self._numbers}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": f"{body['model']}-2026-08-07",
            "choices": [{"index": 0, "message": message, "finish_reason": fault.finish or "stop", "logprobs": None}],
            "usage": usage,
            "system_fingerprint": "fp_double",
            **(fault.answer or {}),
        }
        return fault, json.dumps(answer).encode()

    def _charge(self, body: Any, text: str, given: tuple[int, int] | None = None) -> dict[str, Any]:
        """Bill what the answer itself reports, or else by the lengths."""
        tokens_in = 7 + sum(_tokens_of(message["content"]) for message in body["messages"])
        tokens_out = 1 + len(text) // 4
        tokens_in, tokens_out = given or (tokens_in, tokens_out)
        self.tokens["in"] += tokens_in
        self.tokens["out"] += tokens_out
        return {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def _check(self, body: Any, data: bytes) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
            raise Refused("'messages' must be a list that is not empty")
        if strange := set(body) - PARAMETERS:
            raise Refused(f"Unrecognized request argument supplied: {sorted(strange)[0]}", "unknown_parameter")
        if body.get("model") not in self.models:
            raise Refused(f"The model `{body.get('model')}` does not exist", "model_not_found")
        for message in body["messages"]:
            if message.get("role") not in ("system", "user", "assistant", "developer"):
                raise Refused(f"Invalid role: {message.get('role')}")
            for part in message["content"] if isinstance(message["content"], list) else ():
                check_part(part)
        if body.get("response_format"):
            shape = json.dumps(body["response_format"], sort_keys=True)
            if shape not in self._shapes:
                check_format(body["response_format"])
                self._shapes.add(shape)

    def _text(self, body: Any) -> str:
        if self.answer is not None:
            return self.answer(body)
        form = body.get("response_format") or {}
        if form.get("type") != "json_schema":
            return '{"ok": true}' if form else "It is well."
        schema = form["json_schema"]["schema"]
        if self.keep:
            return json.dumps(value_of(schema, random.Random(f"{self.seed}{body_hash(body)}"), schema))
        shape = json.dumps(schema)
        if shape not in self._values:
            self._values[shape] = json.dumps(value_of(schema, random.Random(self.seed), schema))
        return self._values[shape]

    async def _send(
        self,
        fault: Fault,
        payload: bytes,
        asked: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Whether the whole answer was sent and the connection can be used again."""
        if fault.hang:
            await reader.read(1)
            return False
        if fault.cut_after is not None and fault.cut_after < 0:
            writer.transport.abort()
            return False
        payload = payload.replace(b"{key}", asked.get("authorization", "").removeprefix("Bearer ").encode())
        self._numbers += 1
        headers = {
            "content-type": "application/json",
            "content-length": str(len(payload)),
            "x-request-id": f"req_{self._numbers}",
            "openai-processing-ms": "12",
            "openai-model": "double",
            **self.headers,
            **fault.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {fault.status} Double\r\n{head}\r\n".encode("latin-1"))
        if fault.cut_after is not None:
            writer.write(payload[: int(len(payload) * fault.cut_after)])
            await writer.drain()
            writer.close()
            return False
        writer.write(payload)
        await writer.drain()
        return True

    # -- everything else

    def _other(self, method: str, path: str, query: str, headers: Mapping[str, str], data: bytes) -> Fault:
        if path == "/double":
            seen = {"requests": self.requests, "answered": self.done, "most_in_flight": self.most_in_flight}
            return Fault(body=json.dumps({**seen, "cpu_s": time.process_time()}).encode())
        if self.keep:
            body = json.loads(data) if headers.get("content-type", "").startswith("application/json") and data else None
            self.calls.append(Call(method, path, headers, body, time.monotonic()))
        if unwelcome := self._unwelcome(headers):
            return unwelcome
        try:
            found = self._route(method, path, query, headers, data)
        except KeyError as missing:
            return Fault(404, error_body(f"No such thing: {missing}", "not_found"))
        except Refused as error:
            return Fault(400, error_body(str(error), error.code))
        if isinstance(found, Fault):
            return found
        return Fault(body=found if isinstance(found, bytes) else json.dumps(found).encode())

    def _route(self, method: str, path: str, query: str, headers: Mapping[str, str], data: bytes) -> Any:
        match method, path.removeprefix("/v1/").split("/"):
            case "GET", ["models"]:
                models = [{"id": name, "object": "model", "created": 0, "owned_by": "double"} for name in self.models]
                return {"object": "list", "data": models}
            case "POST", ["embeddings"]:
                return self._embeddings(json.loads(data))
            case "POST", ["files"]:
                return self._upload(headers, data)
            case "GET", ["files", name]:
                return _file(name, self.files[name])
            case "GET", ["files", name, "content"]:
                return self.files[name]
            case "DELETE", ["files", name]:
                del self.files[name]
                return {"id": name, "object": "file", "deleted": True}
            case "POST", ["batches"]:
                return self._submit(json.loads(data))
            case "GET", ["batches"]:
                return self._listed(dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair))
            case "GET", ["batches", name]:
                return self._polled(self.batches[name])
            case "POST", ["batches", name, "cancel"]:
                batch = self.batches[name]
                if batch["status"] in ("validating", "in_progress", "finalizing"):
                    batch["plan"] = batch["plan"]._replace(state="cancelled", polls=1)
                    batch["status"] = "cancelling"
                return _shown(batch)
        return Fault(404, error_body(f"Unknown request URL: {method} {path}", "unknown_url"))

    def _embeddings(self, body: Any) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if body.get("model") not in self.models:
            raise Refused(f"The model `{body.get('model')}` does not exist", "model_not_found")
        if not texts or len(texts) > 2048 or not all(isinstance(text, str) and text for text in texts):
            raise Refused("'$.input' is invalid")
        if self.keep:
            self.sent.update(texts)
        vectors = [self.vector(text) for text in texts]
        as_text = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": at, "embedding": _as_base64(vector) if as_text else vector}
            if isinstance(vector, list)
            else {"object": "embedding", "index": at, "embedding": vector}
            for at, vector in enumerate(vectors)
        ]
        tokens = embedded_tokens(texts)
        self.tokens["in"] += tokens
        self.done += 1
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    def _upload(self, headers: Mapping[str, str], data: bytes) -> dict[str, Any]:
        boundary = headers["content-type"].partition("boundary=")[2].strip('"').encode()
        found: dict[str, bytes] = {}
        for part in data.split(b"--" + boundary)[1:-1]:
            head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'[; ]name="([^"]*)"', head)
            if name:
                found[name[1].decode()] = content.removesuffix(b"\r\n")
        if found.get("purpose") != b"batch":
            raise Refused("Invalid value for purpose")
        if len(found["file"]) > 200_000_000:
            raise Refused("File is too large")
        self._numbers += 1
        name = f"file-{self._numbers}"
        self.files[name] = found["file"]
        return _file(name, found["file"])

    # -- batches

    def _submit(self, body: Any) -> Any:
        plan = self.plans.popleft() if self.plans else BatchPlan()
        lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        self._numbers += 1
        batch = {
            "id": f"batch_{self._numbers}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": int(time.time()),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            "metadata": body.get("metadata"),
            "plan": plan,
            "lines": lines,
            "polled": 0,
        }
        problem = _batch_problem(lines, body["endpoint"])
        if problem:
            batch["plan"] = plan._replace(state="failed", share=0.0)
            batch["errors"] = {"object": "list", "data": [{"code": problem[0], "message": problem[1], "line": None}]}
        self.batches[batch["id"]] = batch
        shown = json.dumps(_shown(batch)).encode()
        if plan.reply is not None:
            return replace(plan.reply, body=plan.reply.body or shown)
        return _shown(batch)

    def _listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        newest = list(reversed(self.batches.values()))
        if "after" in query:
            newest = newest[[batch["id"] for batch in newest].index(query["after"]) + 1 :]
        page = newest[: int(query.get("limit", 20))]
        return {
            "object": "list",
            "data": [_shown(batch) for batch in page],
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(page) < len(newest),
        }

    def _polled(self, batch: dict[str, Any]) -> dict[str, Any]:
        plan: BatchPlan = batch["plan"]
        batch["polled"] += 1
        if batch["status"] in ("validating", "in_progress", "cancelling") and batch["polled"] >= plan.polls:
            self._finish(batch, plan)
        elif batch["status"] == "validating":
            batch["status"] = "in_progress"
        return _shown(batch)

    def _finish(self, batch: dict[str, Any], plan: BatchPlan) -> None:
        shuffled = list(batch["lines"])
        random.Random(self.seed).shuffle(shuffled)
        done = shuffled[: round(len(shuffled) * plan.share)]
        outputs: list[str] = []
        errors: list[str] = []
        for line in done:
            body = line["body"]
            data = json.dumps(body).encode()
            self.sent.update(self._names(body))
            fault, payload = self._reply(body, data, self._fault(data) or Fault(charged=True))
            self._numbers += 1
            response = {"status_code": fault.status, "request_id": f"req_{self._numbers}", "body": _loose(payload)}
            if fault.status == 200:
                self.answered.update(self._names(body))
                self.done += 1
            made = json.dumps(
                {
                    "id": f"batch_req_{self._numbers}",
                    "custom_id": line["custom_id"],
                    "response": response,
                    "error": None,
                }
            )
            (outputs if fault.status == 200 else errors).append(made)
        if plan.state in ("expired", "cancelled"):
            code = f"batch_{plan.state}"
            errors += [
                json.dumps(
                    {
                        "id": "batch_req_0",
                        "custom_id": line["custom_id"],
                        "response": None,
                        "error": {"code": code, "message": "This request could not be executed before it ended."},
                    }
                )
                for line in shuffled[len(done) :]
            ]
        for name, found in (("output_file_id", outputs * (1 + plan.doubled)), ("error_file_id", errors)):
            if found:
                self._numbers += 1
                batch[name] = f"file-{self._numbers}"
                self.files[batch[name]] = "\n".join(found).encode() + b"\n"
        batch["status"] = plan.state
        batch["request_counts"] = {"total": len(shuffled), "completed": len(outputs), "failed": len(errors)}


def _usage_in(body: bytes) -> tuple[int, int] | None:
    try:
        usage = json.loads(body)["usage"]
        return int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _tokens_of(content: Any) -> int:
    if isinstance(content, str):
        return 4 + len(content) // 4
    sizes = {"image_url": lambda part: 85, "input_audio": lambda part: 100, "video_url": lambda part: 500}
    return sum(
        4 + len(part.get("text", "")) // 4 if part["type"] == "text" else sizes[part["type"]](part) for part in content
    )


def embedded_tokens(texts: Iterable[str]) -> int:
    """What is charged for texts to embed."""
    return sum(1 + len(text) // 4 for text in texts)


def vector_of(text: str, size: int = 64) -> list[float]:
    """Words hashed into a vector of length 1: texts that share words are near each other."""
    vector = [0.0] * size
    for word in re.findall(r"\w+", text.casefold()):
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % size] += 1.0
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]


def _as_base64(vector: list[float]) -> str:
    return base64.b64encode(array.array("f", vector).tobytes()).decode()


def _file(name: str, data: bytes) -> dict[str, Any]:
    shown = {"id": name, "object": "file", "bytes": len(data), "created_at": int(time.time()), "status": "processed"}
    return {**shown, "filename": "batch.jsonl", "purpose": "batch"}


def _shown(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name not in ("plan", "lines", "polled")}


def _batch_problem(lines: list[Any], endpoint: str) -> tuple[str, str] | None:
    names = [line.get("custom_id") for line in lines]
    if not lines:
        return "empty_file", "The file is empty."
    if len(lines) > 50_000:
        return "too_many_requests", "More than 50,000 requests."
    if len(set(names)) != len(names):
        return "duplicate_custom_id", "The custom_id of each request must be unique."
    if any(line.get("method") != "POST" or line.get("url") != endpoint for line in lines):
        return "mismatched_endpoint", "Every line must name the endpoint of the batch."
    if len({line["body"].get("model") for line in lines}) > 1:
        return "mismatched_model", "All requests of a batch must name the same model."
    return None


def _loose(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options.add_argument("--say", help="the text of every answer, instead of a value of the schema")
    given = options.parse_args()
    double = ChatDouble(latency_s=given.latency, keep=False)
    if given.say is not None:
        double.answer = lambda body: given.say
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(double.serve(given.port))


if __name__ == "__main__":
    main()
