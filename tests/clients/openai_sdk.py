"""The daemon as OpenAI's own Python SDK sees it, unmodified, with the built-in checkpoint: chats whole and streamed, pictures
in and out, history, usage and refusals."""

import asyncio
import base64
import hashlib
import io
import itertools
import json
import xml.etree.ElementTree
import zlib
from typing import Any

import numpy
import openai
import photographs
import pytest
from PIL import Image

DRAW = "Draw a small red circle at the top left on a navy background."
STORY = "Tell a picture story."
PREFIX = "data:image/png;base64,"

# One element of a document: ("text", what it says) or ("image", its index).
Element = tuple[str, Any]


def data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def user(*content: Any) -> dict[str, Any]:
    plain = len(content) == 1 and isinstance(content[0], str)
    return {"role": "user", "content": content[0] if plain else list(content)}


def decoded(item: dict[str, Any]) -> tuple[bytes, Image.Image]:
    """The bytes and the pixels of one picture of an answer."""
    assert item["type"] == "image_url"
    url = item["image_url"]["url"]
    assert url.startswith(PREFIX)
    data = base64.b64decode(url.removeprefix(PREFIX), validate=True)
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    picture.load()
    return data, picture.convert("RGB")


def whole_document(message: Any) -> tuple[list[Element], list[bytes]]:
    """A whole answer: its elements in order, and its pictures by index."""
    elements: list[Element] = [
        ("text", part["text"]) if part["type"] == "text" else ("image", part["index"]) for part in message.content_parts
    ]
    images = getattr(message, "images", None) or []
    assert [item["index"] for item in images] == list(range(len(images)))
    assert "".join(value for kind, value in elements if kind == "text") == message.content
    return elements, [decoded(item)[0] for item in images]


def streamed_document(stream: Any) -> tuple[list[Element], list[bytes], list[Any]]:
    """A streamed answer in the order of its deltas, neighbouring texts joined; and its chunks."""
    elements: list[Element] = []
    pictures: list[bytes] = []
    chunks = list(stream)
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.delta.content:
                if elements and elements[-1][0] == "text":
                    elements[-1] = ("text", elements[-1][1] + choice.delta.content)
                else:
                    elements.append(("text", choice.delta.content))
            for item in getattr(choice.delta, "images", None) or []:
                elements.append(("image", item["index"]))
                pictures.append(decoded(item)[0])
    return elements, pictures, chunks


def check_usage(usage: Any, input_images: int, output_images: int) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    prompt_image_tokens = usage.prompt_tokens_details.image_tokens
    answer_image_tokens = usage.completion_tokens_details.image_tokens
    assert usage.completion_tokens_details.reasoning_tokens == 0
    assert usage.images["input"] == input_images
    assert usage.images["output"] == output_images
    assert (prompt_image_tokens > 0) == (input_images > 0)
    assert (answer_image_tokens > 0) == (output_images > 0)
    assert prompt_image_tokens < usage.prompt_tokens
    assert answer_image_tokens <= usage.completion_tokens
    if input_images:
        assert prompt_image_tokens % input_images == 0
    if output_images:
        assert answer_image_tokens % output_images == 0
    assert usage.images["positions_used"] > 0
    assert usage.images["positions_left"] > 0
    assert usage.images["more_images_fit"] >= 0


def test_a_drawing_is_asked_for_and_comes_back_as_a_picture(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=[user(DRAW)], temperature=0, seed=7)
    choice = answer.choices[0]
    assert choice.finish_reason == "stop"
    elements, _ = whole_document(choice.message)
    assert [kind for kind, _ in elements] == ["text", "image"]
    check_usage(answer.usage, input_images=0, output_images=1)

    _, picture = decoded(choice.message.images[0])
    pixels = numpy.asarray(picture, numpy.float64)
    half_height, half_width = pixels.shape[0] // 2, pixels.shape[1] // 2
    redness = pixels[..., 0] - pixels[..., 1:].max(-1)
    assert redness[:half_height, :half_width].max() > 60, "no red at the top left"
    assert redness[half_height:, half_width:].max() < 60, "red at the bottom right"
    background = numpy.median(pixels.reshape(-1, 3), axis=0)
    assert numpy.abs(background - photographs.NAVY).max() < 40, f"background {background}"


def test_the_same_seed_gives_the_same_bytes_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "messages": [user(DRAW)], "temperature": 0.8, "seed": 11}
    first = client.chat.completions.create(**request)
    again = client.chat.completions.create(**request)
    stream = client.chat.completions.create(**request, stream=True)
    assert whole_document(first.choices[0].message) == whole_document(again.choices[0].message)
    assert streamed_document(stream)[:2] == whole_document(first.choices[0].message)


@pytest.mark.parametrize(("encoding", "place"), [("png", "XML:com.adobe.xmp"), ("jpeg", "xmp"), ("webp", "xmp")])
def test_a_drawn_picture_says_that_a_model_made_it_and_from_which_recipe(
    client: openai.OpenAI, model: str, encoding: str, place: str
) -> None:
    extra = {"image_format": encoding, "provenance": True}
    answer = client.chat.completions.create(
        model=model, messages=[user(DRAW)], temperature=0, seed=7, extra_body=extra
    )
    url = answer.choices[0].message.images[0]["image_url"]["url"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    packet = picture.info[place]
    packet = packet.decode() if isinstance(packet, bytes) else packet
    body = packet.split("?>", 1)[1].rsplit("<?", 1)[0]
    tags = {element.tag: element.text for element in xml.etree.ElementTree.fromstring(body).iter()}
    source = tags["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    assert source == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

    said = answer.provenance["pictures"][0]
    pixels = picture.convert("RGB")
    sizes = b"".join(side.to_bytes(4, "little") for side in pixels.size)
    assert (said["width"], said["height"]) == pixels.size
    if encoding != "jpeg":  # decoders of JPEG round differently; the digest is of what the model saw
        assert said["pixels_sha256"] == hashlib.sha256(sizes + pixels.tobytes()).hexdigest()
    if encoding == "png":
        recipe = json.loads(picture.info["reverie:provenance"])
        assert recipe["pixels_sha256"] == said["pixels_sha256"]
        assert recipe["parameters"] == answer.provenance["parameters"]
        assert recipe["parameters"]["seed"] == 7


def test_another_image_seed_gives_another_picture_beside_the_same_text(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "messages": [user(DRAW)], "temperature": 0, "seed": 11}
    one = client.chat.completions.create(**request, extra_body={"image_seed": 1}).choices[0].message
    two = client.chat.completions.create(**request, extra_body={"image_seed": 2}).choices[0].message
    assert one.content == two.content
    assert whole_document(one)[1] != whole_document(two)[1]


def test_a_story_streams_several_pictures_each_at_its_place(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "messages": [user(STORY)], "temperature": 0, "seed": 3}
    stream = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    elements, pictures, chunks = streamed_document(stream)

    indices = [value for kind, value in elements if kind == "image"]
    assert len(indices) >= 2
    assert indices == list(range(len(indices)))
    assert elements[0][0] == "text"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert reasons[-1] == "stop" and set(reasons[:-1]) == {None}
    for chunk in chunks:
        for choice in chunk.choices:
            assert len(getattr(choice.delta, "images", None) or []) <= 1
    assert chunks[-1].choices == []
    assert [chunk.usage is None for chunk in chunks[:-1]] == [True] * (len(chunks) - 1)
    check_usage(chunks[-1].usage, input_images=0, output_images=len(indices))

    whole = client.chat.completions.create(**request)
    assert whole_document(whole.choices[0].message) == (elements, pictures)
    assert whole.usage == chunks[-1].usage


def test_the_accumulating_helper_keeps_every_picture(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "messages": [user(STORY)], "temperature": 0, "seed": 3}
    with client.chat.completions.stream(**request) as stream:
        message = stream.get_final_completion().choices[0].message
    whole = client.chat.completions.create(**request).choices[0].message
    assert message.content == whole.content
    assert [decoded(item)[0] for item in message.images] == whole_document(whole)[1]


@pytest.mark.parametrize(("encoding", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_question_about_a_photograph_is_answered_in_words(
    client: openai.OpenAI, model: str, encoding: str, media_type: str
) -> None:
    photograph = data_url(photographs.encoded(photographs.landscape(), encoding), media_type)
    messages = [user(image(photograph), text("What color is the background?"))]
    request: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 32}
    answer = client.chat.completions.create(**request)
    elements, pictures = whole_document(answer.choices[0].message)
    assert [kind for kind, _ in elements] == ["text"]
    assert elements[0][1].strip()
    assert pictures == []
    check_usage(answer.usage, input_images=1, output_images=0)
    stream = client.chat.completions.create(**request, stream=True)
    assert streamed_document(stream)[:2] == (elements, pictures)


@pytest.mark.parametrize(("encoding", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_the_model_sees_what_is_in_the_picture(
    client: openai.OpenAI, model: str, encoding: str, media_type: str
) -> None:
    drawing = data_url(photographs.encoded(photographs.yellow_square_on_navy(), encoding), media_type)
    messages = [user(image(drawing), text("What color is the background?"))]
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=16)
    assert answer.choices[0].message.content.strip() == "navy"


def test_several_pictures_in_one_message_are_all_counted(client: openai.OpenAI, model: str) -> None:
    drawing = data_url(photographs.encoded(photographs.yellow_square_on_navy(), "PNG"), "image/png")
    photograph = data_url(photographs.encoded(photographs.landscape(), "JPEG"), "image/jpeg")
    question = text("Do the images have the same background color?")
    answer = client.chat.completions.create(
        model=model, messages=[user(image(drawing), image(photograph), question)], temperature=0, max_tokens=16
    )
    assert answer.choices[0].message.content.strip()
    check_usage(answer.usage, input_images=2, output_images=0)


def test_an_answer_sent_back_as_it_came_is_history(client: openai.OpenAI, model: str) -> None:
    first = client.chat.completions.create(model=model, messages=[user(DRAW)], temperature=0, seed=7)
    reply = first.choices[0].message.model_dump(exclude_none=True)
    second = client.chat.completions.create(
        model=model, messages=[user(DRAW), reply, user("Make it blue.")], temperature=0, seed=7
    )
    elements, pictures = whole_document(second.choices[0].message)
    assert ("image", 0) in elements
    assert pictures != whole_document(first.choices[0].message)[1]
    assert second.usage.prompt_tokens > first.usage.total_tokens
    assert second.usage.images["input"] == 1


def test_the_client_decides_how_many_pictures_there_are(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "messages": [user(STORY)], "temperature": 0, "seed": 3}
    none = client.chat.completions.create(**request, max_tokens=48, extra_body={"image_choice": "none"})
    assert whole_document(none.choices[0].message)[1] == []
    two = client.chat.completions.create(**request, extra_body={"image_choice": 2, "num_inference_steps": 4})
    assert len(whole_document(two.choices[0].message)[1]) == 2


def test_two_clients_at_once_get_what_each_gets_alone(client: openai.OpenAI, base_url: str, model: str) -> None:
    requests: list[dict[str, Any]] = [
        {"model": model, "messages": [user(DRAW)], "temperature": 0.8, "seed": seed} for seed in (21, 22)
    ]
    alone = [whole_document(client.chat.completions.create(**request).choices[0].message) for request in requests]

    async def together() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=300) as two:
            return await asyncio.gather(*(two.chat.completions.create(**request) for request in requests))

    answers = asyncio.run(together())
    assert [whole_document(answer.choices[0].message) for answer in answers] == alone


def test_a_client_that_leaves_a_stream_does_not_hold_up_the_next(client: openai.OpenAI, model: str) -> None:
    stream = client.chat.completions.create(model=model, messages=[user(STORY)], stream=True, seed=5)
    opening = list(itertools.islice(stream, 2))
    stream.close()
    assert opening
    answer = client.chat.completions.create(model=model, messages=[user("Hello!")], temperature=0, max_tokens=32)
    assert answer.choices[0].message.content.strip()


def refused(client: openai.OpenAI, param: str, **request: Any) -> openai.BadRequestError:
    """The refusal of a request, which must name `param`."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request)
    assert caught.value.param == param, caught.value.message
    assert caught.value.type == "invalid_request_error"
    assert caught.value.message
    return caught.value


PHOTOGRAPH = photographs.encoded(photographs.landscape(), "PNG")


def gigantic() -> bytes:
    """A whole and tiny PNG whose header claims 50000 x 50000 pixels."""
    file = bytearray(photographs.encoded(Image.new("RGB", (1, 1)), "PNG"))
    file[16:24] = (50_000).to_bytes(4, "big") + (50_000).to_bytes(4, "big")
    file[29:33] = zlib.crc32(bytes(file[12:29])).to_bytes(4, "big")
    return bytes(file)


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,this is not base64!",
        data_url(PHOTOGRAPH[: len(PHOTOGRAPH) // 2], "image/png"),
        data_url(b"neither a PNG nor a JPEG", "image/png"),
        data_url(gigantic(), "image/png"),
        data_url(b"", "image/png"),
    ],
    ids=["not-base64", "cut-short", "no-picture", "gigantic", "empty"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_bad_picture_is_refused_by_its_place(client: openai.OpenAI, model: str, url: str, stream: bool) -> None:
    messages = [user(text("What do you see?"), image(url))]
    refused(client, "messages[0].content[1].image_url.url", model=model, messages=messages, stream=stream)


@pytest.mark.parametrize(
    ("name", "value"),
    [("shininess", 3), ("size", "17x23"), ("num_inference_steps", 0), ("sampler", "brownian"), ("image_choice", "maybe")],
)
def test_a_bad_extension_is_refused_by_its_name(client: openai.OpenAI, model: str, name: str, value: Any) -> None:
    refused(client, name, model=model, messages=[user(DRAW)], extra_body={name: value})


def test_a_temperature_out_of_range_is_refused_by_its_name(client: openai.OpenAI, model: str) -> None:
    refused(client, "temperature", model=model, messages=[user(DRAW)], temperature=9)


def test_a_prompt_that_can_never_fit_is_refused(client: openai.OpenAI, model: str) -> None:
    refusal = refused(client, "messages", model=model, messages=[user("Draw a red circle. " * 2000)])
    assert refusal.code == "context_length_exceeded"


def test_a_model_that_is_not_served_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="somebody-elses", messages=[user("Hello!")])
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def drawn(item: Any) -> Image.Image:
    """The pixels of one picture of an images answer."""
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json, validate=True))).convert("RGB")


def test_a_caption_becomes_a_picture(client: openai.OpenAI, model: str) -> None:
    answer = client.images.generate(model=model, prompt="a large red circle", extra_body={"seed": 3})
    picture = numpy.asarray(drawn(answer.data[0]), numpy.float64)
    redness = picture[..., 0] - picture[..., 1:].max(-1)
    height, width = redness.shape
    assert redness[height // 4 : -height // 4, width // 4 : -width // 4].max() > 60, "no red in the middle"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.input_tokens_details.image_tokens == 0


def test_several_pictures_of_one_seed_differ_and_the_first_is_the_only_one_alone(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"prompt": "a large red circle", "extra_body": {"seed": 3, "steps": 4}}
    three = [item.b64_json for item in client.images.generate(**request, n=3).data]
    assert len(set(three)) == 3
    assert client.images.generate(**request).data[0].b64_json == three[0]


@pytest.mark.parametrize(("encoding", "media_type"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_pictures_come_in_the_format_that_was_asked_for(client: openai.OpenAI, encoding: Any, media_type: str) -> None:
    answer = client.images.generate(prompt="a red circle", output_format=encoding, extra_body={"steps": 2})
    data = base64.b64decode(answer.data[0].b64_json)
    assert Image.open(io.BytesIO(data)).format == media_type
    assert answer.output_format == encoding


def test_an_edit_is_the_picture_that_a_chat_draws_after_the_same_question(client: openai.OpenAI, model: str) -> None:
    files = [photographs.encoded(photographs.yellow_square_on_navy(), "PNG")]
    prompt = "Change the background to black."
    edited = client.images.edit(model=model, image=[("a.png", files[0])], prompt=prompt, extra_body={"seed": 5})
    chat = client.chat.completions.create(
        model=model,
        messages=[user(image(data_url(files[0], "image/png")), text(prompt))],
        seed=5,
        extra_body={"image_choice": 1},
    )
    wanted = decoded(chat.choices[0].message.images[0])[1]
    assert numpy.array_equal(numpy.asarray(drawn(edited.data[0])), numpy.asarray(wanted))
    assert edited.usage.input_tokens_details.image_tokens > 0


def test_streamed_pictures_are_the_same_and_nothing_follows_them(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"prompt": "a large red circle", "extra_body": {"seed": 3, "steps": 4}}
    whole = client.images.generate(**request)
    events = list(client.images.generate(**request, stream=True))
    assert [event.type for event in events] == ["image_generation.completed"]
    assert events[0].b64_json == whole.data[0].b64_json
    assert events[0].usage.total_tokens == whole.usage.total_tokens


def test_an_edit_with_a_mask_is_refused(client: openai.OpenAI) -> None:
    file = photographs.encoded(photographs.yellow_square_on_navy(), "PNG")
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=("a.png", file), mask=("m.png", file), prompt="Make it blue.")
    assert caught.value.param == "mask"


def test_a_raw_prompt_goes_on_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    request: dict[str, Any] = {"model": model, "prompt": "USER: Hello! ASSISTANT:", "temperature": 0, "max_tokens": 12}
    whole = client.completions.create(**request)
    assert whole.choices[0].text.strip()
    assert 0 < whole.usage.completion_tokens <= 12
    pieces = list(client.completions.create(**request, stream=True))
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def items_of(output: Any) -> list[Element]:
    """The items of a response in order: texts, and pictures' files in base64."""
    elements: list[Element] = []
    for item in output:
        if item.type == "message":
            elements.append(("text", "".join(part.text for part in item.content)))
        else:
            assert item.type == "image_generation_call" and item.status == "completed"
            elements.append(("image", item.result))
    return elements


RESPONSE: dict[str, Any] = {"temperature": 0, "extra_body": {"seed": 3, "num_inference_steps": 4}}


def test_a_response_holds_what_the_same_chat_answers_in_order(client: openai.OpenAI, model: str) -> None:
    response = client.responses.create(model=model, input=STORY, **RESPONSE)
    chat = client.chat.completions.create(model=model, messages=[user(STORY)], **RESPONSE)
    elements, pictures = whole_document(chat.choices[0].message)
    wanted = [
        ("text", value) if kind == "text" else ("image", base64.b64encode(pictures[value]).decode())
        for kind, value in elements
    ]
    assert items_of(response.output) == wanted
    assert [kind for kind, _ in wanted].count("image") >= 2
    assert response.output_text == chat.choices[0].message.content
    assert response.status == "completed" and response.error is None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.input_tokens == chat.usage.prompt_tokens


def test_a_streamed_response_is_the_whole_one_event_by_event(client: openai.OpenAI, model: str) -> None:
    whole = client.responses.create(model=model, input=STORY, **RESPONSE)
    events = list(client.responses.create(model=model, input=STORY, stream=True, **RESPONSE))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert items_of(events[-1].response.output) == items_of(whole.output)
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert items_of(done) == items_of(whole.output)
    texts = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert texts == whole.output_text
    with client.responses.stream(model=model, input=STORY, **RESPONSE) as stream:
        helper = stream.get_final_response()
    assert items_of(helper.output) == items_of(whole.output)


def test_the_next_response_reaches_the_first_ones_picture(client: openai.OpenAI, model: str) -> None:
    fields: dict[str, Any] = {"temperature": 0, "extra_body": {"seed": 7}}
    first = client.responses.create(model=model, input=DRAW, **fields)
    by_id = client.responses.create(model=model, input="Make it blue.", previous_response_id=first.id, **fields)
    turn = {"role": "user", "content": "Make it blue."}
    echoed = [{"role": "user", "content": DRAW}, *(item.model_dump() for item in first.output), turn]
    named = [{"type": "item_reference", "id": item.id} for item in first.output]
    by_value = client.responses.create(model=model, input=echoed, store=False, **fields)
    by_name = client.responses.create(model=model, input=[{"role": "user", "content": DRAW}, *named, turn], **fields)
    assert items_of(by_id.output) == items_of(by_value.output) == items_of(by_name.output)
    assert by_id.usage.input_tokens == by_value.usage.input_tokens
    pictures = [value for kind, value in items_of(by_id.output) if kind == "image"]
    assert pictures and pictures[0] not in [value for _, value in items_of(first.output)]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(by_value.id)


def test_a_stored_response_is_had_again_listed_and_forgotten(client: openai.OpenAI, model: str) -> None:
    fields: dict[str, Any] = {"temperature": 0, "max_output_tokens": 4}
    response = client.responses.create(model=model, input="Hello!", metadata={"for": "a test"}, **fields)
    again = client.responses.retrieve(response.id)
    assert again.model_dump() == response.model_dump()
    items = client.responses.input_items.list(response.id).data
    assert [item.content[0].text for item in items] == ["Hello!"]
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.retrieve(response.id)
    assert caught.value.message.find(f"Response with id '{response.id}' not found.") >= 0
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=model, input="And?", previous_response_id=response.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_pictures_by_address_are_history_without_their_bytes(client: openai.OpenAI, model: str) -> None:
    fields: dict[str, Any] = {"model": model, "temperature": 0, "seed": 7}
    answers = []
    for delivery in ("inline", "url", "markdown"):
        first = client.chat.completions.create(
            messages=[user(DRAW)], extra_body={"image_delivery": delivery}, **fields
        )
        reply = first.choices[0].message.model_dump(exclude_none=True)
        if delivery == "markdown":  # a client that knows text only
            reply = {"role": "assistant", "content": reply["content"]}
        second = client.chat.completions.create(messages=[user(DRAW), reply, user("Make it blue.")], **fields)
        answers.append((whole_document(second.choices[0].message), second.usage.prompt_tokens))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0][1], "a picture"
