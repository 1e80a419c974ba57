"""What travelled, read strictly: the documents, figures and errors that the daemon sent, by the recorder's copy of them."""

import base64
import dataclasses
import email.parser
import email.policy
import hashlib
import json
from typing import Any

# One element of a document: ["text", what it says] or ["image", the SHA-256 of its file].
Element = list[str]


@dataclasses.dataclass
class Document:
    """An answer as it was sent: its elements in order, its pictures' data URLs or base64 by digest, and what it took."""

    elements: list[Element] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    usage: dict[str, int] = dataclasses.field(default_factory=dict)
    effective: dict[str, Any] = dataclasses.field(default_factory=dict)

    def text(self, value: str | None) -> None:
        if not value:
            return
        if self.elements and self.elements[-1][0] == "text":
            self.elements[-1] = ["text", self.elements[-1][1] + value]
        else:
            self.elements.append(["text", value])

    def picture(self, encoded: str) -> None:
        digest = hashlib.sha256(base64.b64decode(encoded.rpartition(",")[2], validate=True)).hexdigest()
        self.files[digest] = encoded
        self.elements.append(["image", digest])

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.elements]


@dataclasses.dataclass
class Call:
    """One exchange of a client with the daemon."""

    client: str
    case: str
    method: str
    route: str
    content_type: str
    request: bytes
    status: int
    answer_type: str
    answer: str

    @classmethod
    def of_line(cls, line: str) -> "Call":
        record = json.loads(line)
        return cls(**record | {"request": base64.b64decode(record["request"])})

    def body(self) -> dict[str, Any]:
        """The request's fields; of a form's files only their names and types."""
        if not self.content_type.startswith("multipart/form-data"):
            return json.loads(self.request)
        head = f"Content-Type: {self.content_type}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.request)
        fields: dict[str, Any] = {}
        for part in form.iter_parts():
            name = part.get_param("name", header="content-disposition")
            file = part.get_filename()
            fields[name] = f"a file of {part.get_content_type()}" if file else part.get_content()
        return fields

    def error(self) -> dict[str, Any]:
        return json.loads(self.answer)["error"]

    def document(self) -> Document:
        surface = self.case.split("-")[0]
        if self.answer_type.startswith("text/event-stream"):
            return STREAMED[surface](events(self.answer))
        return WHOLE[surface](json.loads(self.answer))


def events(text: str) -> list[Any]:
    """The data of all events; comments have none."""
    data = [
        "\n".join(line.removeprefix("data:").strip() for line in block.split("\n") if line.startswith("data:"))
        for block in text.split("\n\n")
    ]
    return [json.loads(one) for one in data if one and one != "[DONE]"]


def chat_usage(usage: dict[str, Any]) -> dict[str, int]:
    return {
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
        "output_images": usage["completion_tokens_details"]["image_tokens"],
    }


def whole_chat(answer: dict[str, Any]) -> Document:
    document = Document(usage=chat_usage(answer["usage"]), effective=answer["effective"])
    message = answer["choices"][0]["message"]
    for part in message["content_parts"]:
        if part["type"] == "text":
            document.text(part["text"])
        else:
            document.picture(message["images"][part["index"]]["image_url"]["url"])
    return document


def streamed_chat(chunks: list[Any]) -> Document:
    document = Document()
    for chunk in chunks:
        for choice in chunk["choices"]:
            document.text(choice["delta"].get("content"))
            for item in choice["delta"].get("images", []):
                document.picture(item["image_url"]["url"])
        document.effective = chunk.get("effective") or document.effective
        if chunk.get("usage"):
            document.usage = chat_usage(chunk["usage"])
    return document


def whole_completion(answer: dict[str, Any]) -> Document:
    document = Document(usage=chat_usage(answer["usage"]), effective=answer["effective"])
    document.text(answer["choices"][0]["text"])
    return document


def streamed_completion(chunks: list[Any]) -> Document:
    document = Document()
    for chunk in chunks:
        for choice in chunk["choices"]:
            document.text(choice["text"])
        if chunk.get("usage"):
            document.usage = chat_usage(chunk["usage"])
    return document


def images_usage(usage: dict[str, Any]) -> dict[str, int]:
    return {"input": usage["input_tokens"], "output": usage["output_tokens"]}


def whole_images(answer: dict[str, Any]) -> Document:
    document = Document(usage=images_usage(answer["usage"]), effective=answer["effective"])
    for item in answer["data"]:
        document.picture(item["b64_json"])
    return document


def streamed_images(happened: list[Any]) -> Document:
    document = Document()
    for event in happened:
        if event["type"].endswith(".completed"):
            document.picture(event["b64_json"])
            document.usage = images_usage(event["usage"])
    return document


def whole_response(response: dict[str, Any]) -> Document:
    document = Document(usage=images_usage(response["usage"]), effective=response["effective"])
    for item in response["output"]:
        if item["type"] == "message":
            for part in item["content"]:
                document.text(part["text"])
        else:
            document.picture(item["result"])
    return document


def streamed_response(happened: list[Any]) -> Document:
    """By the last event; the items that are done before must be the same, in order."""
    last = happened[-1]["response"]
    done = [event["item"] for event in happened if event["type"] == "response.output_item.done"]
    if done != last["output"]:
        raise ValueError("the items of the stream are not those of its end")
    return whole_response(last)


WHOLE = {
    "responses": whole_response,
    "chat": whole_chat,
    "completions": whole_completion,
    "generations": whole_images,
    "edits": whole_images,
}
STREAMED = {
    "responses": streamed_response,
    "chat": streamed_chat,
    "completions": streamed_completion,
    "generations": streamed_images,
    "edits": streamed_images,
}
