# %% [markdown]
# # A picture, stage by stage, without Reverie
#
# A server that was started with `--allow-trace` answers `"trace": true` with tensors of how it drew each picture. Here
# the same checkpoint is loaded in plain `transformers` and `diffusers`, the same document is written, and every stage
# is compared: the dream's condition, the picture predicted in each step, what the UNet's cross-attentions looked at,
# and the pixels. `training/notebooks/run BINARY` starts the server and executes this.

# %%
import base64
import io
import json
import os
import urllib.request
from pathlib import Path

import diffusers
import matplotlib.pyplot as plt
import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.torch import load, load_file

CHECKPOINT = Path(os.environ["REVERIE_CHECKPOINT"])
WISH, STEPS, GUIDANCE = "Draw a large red circle on a white background.", 20, 2.0
transformers.logging.set_verbosity_error()
diffusers.logging.set_verbosity_error()
torch.set_grad_enabled(False)

# %% [markdown]
# ## What the server says
#
# The trace is one safetensors file in base64. `predicted_latents` are the clean latents that each step's prediction
# implies; attention maps are means over heads and steps, for the rows under the picture's own condition.

# %%
request = {
    "model": "reverie-mini", "messages": [{"role": "user", "content": WISH}], "seed": 3, "temperature": 0,
    "image_choice": 1, "sampler": "ddim", "num_inference_steps": STEPS, "guidance_scale": GUIDANCE,
    "max_images": 1, "trace": True,
}
headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['REVERIE_API_KEY']}"}
call = urllib.request.Request(
    f"{os.environ['REVERIE_URL']}/v1/chat/completions", json.dumps(request).encode(), headers
)
answer = json.load(urllib.request.urlopen(call))
trace = load(base64.b64decode(answer["trace"]["data"]))
trace = {name.removeprefix("picture.0."): tensor for name, tensor in trace.items()}
message = answer["choices"][0]["message"]
delivered = Image.open(io.BytesIO(base64.b64decode(message["images"][0]["image_url"]["url"].split(",")[1])))
print(repr(message["content"]))
for name, tensor in trace.items():
    print(f"{name:72} {tuple(tensor.shape)}")


# %%
def compare(name: str, found: torch.Tensor, tolerance: float) -> None:
    """Fails if `found` differs from the trace by more than a share of its largest value."""
    wanted = trace[name]
    error = float((found - wanted).abs().max() / wanted.abs().max())
    print(f"{name:72} {error:.1e}")
    assert found.shape == wanted.shape and error < tolerance, f"{name}: {error}"


# %% [markdown]
# ## The decoder dreams
#
# A LLaMA, with DreamLLM's queries behind `<dream_start>`; their last hidden states, projected, are the condition.

# %%
weights = {name: tensor.float() for name, tensor in load_file(CHECKPOINT / "model.safetensors").items()}
settings = json.loads((CHECKPOINT / "config.json").read_text())
decoder = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings)).eval()
decoder.load_state_dict({name: weights[name] for name in decoder.state_dict()})
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(CHECKPOINT / "tokenizer.json"))
embed = decoder.model.embed_tokens
queries = weights["model.dream_embedding.dream_queries"][0]
bos, dream_start, dream_end = (tokenizer.convert_tokens_to_ids(t) for t in ("<s>", "<dream_start>", "<dream_end>"))


def dream(before: list[int]) -> torch.Tensor:
    """The condition of a picture that is drawn behind these tokens, (Q, D)."""
    opened, closed = embed(torch.tensor([*before, dream_start])), embed(torch.tensor([dream_end]))
    document = torch.cat([opened, queries, closed])
    states = decoder.model(inputs_embeds=document[None]).last_hidden_state[0]
    first = len(before) + 1
    return states[first : first + len(queries)] @ weights["stable_diffusion_head.projector.projector.weight"].T


written = [bos, *tokenizer.encode(f"USER: {WISH} ASSISTANT:", add_special_tokens=False)]
while (token := int(decoder(torch.tensor([written])).logits[0, -1].argmax())) != dream_start:
    written.append(token)
print(repr(tokenizer.decode(written)))
condition, unconditional = dream(written), dream([bos])
compare("condition", condition, 1e-3)
compare("negative_condition", unconditional, 1e-3)

# %% [markdown]
# ## The UNet draws
#
# `diffusers`' own UNet and scheduler, from the server's initial noise. An attention processor keeps the probabilities
# of every cross-attention.

# %%
unet = diffusers.UNet2DConditionModel.from_pretrained(CHECKPOINT / "unet").float().eval()
scheduler = diffusers.DDIMScheduler.from_pretrained(CHECKPOINT / "scheduler")
seen: dict[str, list[torch.Tensor]] = {}


class Watching:
    """Attention as usual, with its probabilities under the picture's own condition kept."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        heads = attn.head_to_batch_dim
        query, key, value = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
        probabilities = attn.get_attention_scores(query, key)
        if encoder_hidden_states is not None:
            own = probabilities.unflatten(0, (len(hidden_states), attn.heads))[-1]
            seen.setdefault(self.name, []).append(own.mean(0))
        return attn.to_out[0](attn.batch_to_head_dim(probabilities @ value))


unet.set_attn_processor({name: Watching(name.removesuffix(".processor")) for name in unet.attn_processors})
scheduler.set_timesteps(STEPS)
latents, predicted = trace["initial_latents"][None], []
both = torch.stack([unconditional, condition])
for timestep in scheduler.timesteps:
    negative, positive = unet(latents.expand(2, -1, -1, -1), timestep, both).sample
    step = scheduler.step((negative + GUIDANCE * (positive - negative))[None], timestep, latents)
    latents = step.prev_sample
    predicted.append(step.pred_original_sample[0])
compare("timesteps", scheduler.timesteps.float(), 1e-6)
compare("predicted_latents", torch.stack(predicted), 1e-3)
compare("latents", latents[0], 1e-3)
for name, maps in seen.items():
    wanted = trace[f"attention.{name}"]
    compare(f"attention.{name}", torch.stack(maps).mean(0).view(wanted.shape), 1e-3)

# %% [markdown]
# ## The VAE paints

# %%
vae = diffusers.AutoencoderKL.from_pretrained(CHECKPOINT / "vae").float().eval()


def paint(latents: torch.Tensor) -> np.ndarray:
    """Bytes (n, H, W, 3)."""
    pixels = vae.decode(latents / vae.config.scaling_factor).sample
    return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


levels = np.abs(paint(latents)[0].astype(int) - np.asarray(delivered).astype(int))
print(f"largest difference from the delivered file: {levels.max()} of 255 levels")
assert levels.max() <= 1

# %% [markdown]
# ## What it looked like on the way
#
# Above, the picture predicted at some of the steps; below, where the outermost attention of the way up looked for each
# dream query.

# %%
steps = np.linspace(0, STEPS - 1, 8).round().astype(int)
pictures = paint(trace["predicted_latents"][steps])
maps = trace["attention.up_blocks.2.attentions.1.transformer_blocks.0.attn2"]
figure, rows = plt.subplots(2, 8, figsize=(9, 2.7), dpi=60)
for number in range(8):
    rows[0, number].imshow(pictures[number])
    rows[0, number].set_title(f"step {steps[number] + 1}", fontsize=8)
    rows[1, number].imshow(maps[..., number], cmap="magma")
    rows[1, number].set_title(f"query {number + 1}", fontsize=8)
for axis in rows.flat:
    axis.axis("off")
plt.show()
