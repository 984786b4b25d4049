"""What Hugging Face's transformers compute, with random weights and at tiny sizes.

`python -m tests.samples.hugging_face` records the fixtures: for each model the weights as
`save_pretrained` writes them, and in `outputs.npz` what it is called with and gives.
"""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "fixtures"

Arrays = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A model of transformers, and the sample that is to compute the same.

    Attributes:
        sample: name of the page.
        config: of the sample's model.
        make: the model of transformers for such a config.
        draw: what both are called with: names of the sample's inputs -> arrays.
        run: the model of transformers on these: names -> arrays.
    """

    sample: str
    config: dict[str, Any]
    make: Callable[[dict[str, Any]], Any]
    draw: Callable[[dict[str, Any], np.random.Generator], Arrays]
    run: Callable[[Any, Arrays], Arrays]

    def record(self, folder: Path, *, seed: int = 0) -> tuple[Path, Arrays, Arrays]:
        """Write the weights of a new model; return the file, what it is called with and gives."""
        import torch

        torch.manual_seed(seed)
        model = self.make(self.config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                # Biases are zero, and positions nearly so, in a model that was never trained.
                weight.uniform_(-0.5, 0.5)
        model.save_pretrained(folder)
        inputs = self.draw(self.config, np.random.default_rng(seed))
        with torch.no_grad():
            outputs = self.run(model, inputs)
        return folder / "model.safetensors", inputs, outputs


def bert(c: dict[str, Any]) -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(
            vocab_size=c["vocabulary"], hidden_size=c["width"], num_hidden_layers=c["layers"],
            num_attention_heads=c["heads"], intermediate_size=c["hidden"],
            max_position_embeddings=c["positions"],
        )
    )  # fmt: skip


def text(c: dict[str, Any], rng: np.random.Generator) -> Arrays:
    """Two texts, one of them shorter."""
    return {
        "tokens": rng.integers(0, c["vocabulary"], (2, 7)),
        "mask": np.arange(7) < np.array([[7], [4]]),
        "types": rng.integers(0, 2, (2, 7)),
    }


def run_bert(model: Any, x: Arrays) -> Arrays:
    import torch

    found = model(
        input_ids=torch.from_numpy(x["tokens"]), token_type_ids=torch.from_numpy(x["types"]),
        attention_mask=torch.from_numpy(x["mask"]).long(),
    )  # fmt: skip
    hidden = found.last_hidden_state.numpy() * x["mask"][..., None]
    return {"hidden": hidden, "pooled": found.pooler_output.numpy()}


def gpt2(c: dict[str, Any]) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=c["vocabulary"], n_embd=c["width"], n_layer=c["layers"], n_head=c["heads"],
            n_positions=c["positions"], bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip


def prompt(c: dict[str, Any], rng: np.random.Generator) -> Arrays:
    return {"tokens": rng.integers(0, c["vocabulary"], (c["batch"], 6))}


def run_gpt2(model: Any, x: Arrays) -> Arrays:
    import torch

    tokens = torch.from_numpy(x["tokens"])
    written = []
    for _ in range(5):
        scores = model(tokens).logits
        tokens = torch.cat([tokens, scores[:, -1:].argmax(-1)], dim=1)
        written.append(tokens[:, -1].numpy())
    scores = model(torch.from_numpy(x["tokens"])).logits.numpy()
    return {"scores": scores, "written": np.stack(written, axis=1)}


def vit(c: dict[str, Any]) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(
        ViTConfig(
            hidden_size=c["width"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
            intermediate_size=4 * c["width"], image_size=c["image"], patch_size=c["patch"],
            num_labels=c["classes"],
        )
    )  # fmt: skip


def images(c: dict[str, Any], rng: np.random.Generator) -> Arrays:
    shape = (2, c["image"], c["image"], 3)
    return {"images": rng.uniform(-1, 1, shape).astype(np.float32)}


def run_vit(model: Any, x: Arrays) -> Arrays:
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(x["images"].transpose(0, 3, 1, 2)))
    found = model(pixel_values=pixels, output_hidden_states=True)
    tokens = model.vit.layernorm(found.hidden_states[-1]).numpy()
    side = round((tokens.shape[1] - 1) ** 0.5)
    return {
        "logits": found.logits.numpy(), "image": tokens[:, 0],
        "patches": tokens[:, 1:].reshape(2, side, side, -1),
    }  # fmt: skip


PEERS = [
    Peer("bert", {"vocabulary": 20, "positions": 9, "width": 8, "layers": 2, "heads": 2,
                  "hidden": 12}, bert, text, run_bert),
    Peer("gpt2", {"vocabulary": 20, "positions": 12, "width": 8, "layers": 2, "heads": 2,
                  "batch": 2}, gpt2, prompt, run_gpt2),
    Peer("vit", {"image": 8, "patch": 4, "width": 8, "layers": 2, "heads": 2, "classes": 5},
         vit, images, run_vit),
]  # fmt: skip


def main() -> None:
    """Record the fixtures."""
    import tempfile

    arrays: Arrays = {}
    for peer in PEERS:
        with tempfile.TemporaryDirectory() as folder:
            file, inputs, outputs = peer.record(Path(folder))
            shutil.copyfile(file, FOLDER / f"{peer.sample}.safetensors")
        arrays |= {f"{peer.sample}/in/{name}": array for name, array in inputs.items()}
        arrays |= {f"{peer.sample}/out/{name}": array for name, array in outputs.items()}
    np.savez(FOLDER / "outputs.npz", **arrays)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of what it imports
        main()
