"""What travelled, read strictly: the documents, figures and errors that the daemon sent, by the recorder's copy of them."""

import base64
import dataclasses
import email.parser
import email.policy
import hashlib
import json
import urllib.request
from typing import Any

# One element of a document: ["text", what it says] or ["image", the SHA-256 of its file]; in a stream that was asked for
# previews also ["preview N", likewise].
Element = list[str]


@dataclasses.dataclass
class Document:
    """An answer as it was sent: its elements in order, its pictures' data URLs or base64 by digest, what it took, and the
    addresses of pictures that are elsewhere."""

    elements: list[Element] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    addresses: list[str] = dataclasses.field(default_factory=list)
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
        """A picture as base64, as a data URL, or by its address, which is followed."""
        if encoded.startswith("http"):
            self.addresses.append(encoded)
            encoded = fetched(encoded)
        self.files[digest(encoded)] = encoded
        self.elements.append(["image", digest(encoded)])

    def preview(self, index: int, encoded: str) -> None:
        """What the next picture will be like; the previews of one picture are counted from 0."""
        last = self.elements[-1][0] if self.elements else ""
        if index and last != f"preview {index - 1}":
            raise ValueError(f"preview {index} after {last or 'nothing'}")
        self.elements.append([f"preview {index}", digest(encoded)])

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.elements]


def digest(encoded: str) -> str:
    """Of a file in base64, with or without a data URL's prefix."""
    return hashlib.sha256(base64.b64decode(encoded.rpartition(",")[2], validate=True)).hexdigest()


def fetched(address: str) -> str:
    """The data URL of a picture that is elsewhere."""
    with urllib.request.urlopen(address, timeout=30) as file:
        return f"data:{file.headers['content-type']};base64,{base64.b64encode(file.read()).decode()}"


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

    def is_streamed(self) -> bool:
        return self.answer_type.startswith("text/event-stream")

    def document(self) -> Document:
        surface = self.case.split("-")[0]
        if self.is_streamed():
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
        if event["type"].endswith(".partial_image"):
            document.preview(event["partial_image_index"], event["b64_json"])
        elif event["type"].endswith(".completed"):
            document.picture(event["b64_json"])
            document.usage = images_usage(event["usage"])
    return document


def whole_response(response: dict[str, Any]) -> Document:
    document = Document(usage=images_usage(response["usage"]), effective=response["effective"])
    for item in response["output"]:
        push_item(document, item)
    return document


def push_item(document: Document, item: dict[str, Any]) -> None:
    if item["type"] == "message":
        for part in item["content"]:
            document.text(part["text"])
    else:
        document.picture(item["result"])


def streamed_response(happened: list[Any]) -> Document:
    """By the items that are done and the previews between them; the items must be the same at the end, in order."""
    last = happened[-1]["response"]
    document = Document(usage=images_usage(last["usage"]), effective=last["effective"])
    done = []
    for event in happened:
        if event["type"] == "response.image_generation_call.partial_image":
            document.preview(event["partial_image_index"], event["partial_image_b64"])
        elif event["type"] == "response.output_item.done":
            done.append(event["item"])
            push_item(document, event["item"])
    if done != last["output"]:
        raise ValueError("the items of the stream are not those of its end")
    return document


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
