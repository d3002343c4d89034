"""A tiny world for tests: models made in seconds, and an experiment small enough to run."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from refine_af.workflow.configuration import read_configuration

ROOT = Path(__file__).resolve().parents[1]

WORDS = ["sort", "count", "name", "copy", "turn", "list", "word", "line", "number", "color"]
WORDS += ["apple", "river", "stone", "garden"]
SPECIAL = ["<pad>", "<s>", "</s>", "<|prompter|>", "<|assistant|>", "<|endoftext|>"]


def sentence(rng: random.Random, length: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length)).capitalize() + "."


def documents(rng: random.Random, count: int) -> list[str]:
    """Texts of the two kinds that the stages ask for: task lists, and tasks with an output."""
    texts = []
    for index in range(count):
        if index % 2:
            lines = [f"Task {number}: {sentence(rng, 5)}" for number in range(6, 13)]
            texts.append("\n".join(lines) + "\n\n")
        else:
            pairs = [f"Do\n{sentence(rng, 3)}\nOutput: {sentence(rng, 2)}\n" for _ in range(5)]
            texts.append("\n".join(pairs))
    return texts


# A turn of a chat, with this tokenizer's own special tokens.
CHATML = (
    "{% for message in messages %}{{ '<|prompter|>' + message['role'] + '\n' + message['content']"
    " + '<|endoftext|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|prompter|>assistant\n' }}{% endif %}"
)


def make_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer of 400 tokens with padding, begin and end, which begins texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = [*documents(random.Random(0), 200), *["Example 1 Answer: Yes No 1, 2"] * 50]
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    whole.chat_template = CHATML
    whole.save_pretrained(folder)


def make_llama(folder: Path, tokenizer_folder: Path) -> None:
    """A random Llama of two layers as a checkpoint folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# What the writer goes on with after a token of each kind: a sentence is a capital word and five
# others, one of each fifth of the words; after it another item of a list is twice as likely as the
# end of the text.
FIFTHS = [WORDS[place::5] for place in range(5)]
FOLLOWING = {
    "other": [f" {word.capitalize()}" for word in WORDS],
    "capital": [f" {word}" for word in FIFTHS[0]],
    **{str(place): [f" {word}" for word in FIFTHS[place + 1]] for place in range(4)},
    "4": ["."],
    "end": ["Task", "Task", "</s>"],
    "item": [f" {number}" for number in range(9, 13)],
    "line": ["Output"],
    "cue": [":"],
}
KINDS = {
    **{f" {word.capitalize()}": "capital" for word in WORDS},
    **{f" {word}": str(place) for place, fifth in enumerate(FIFTHS) for word in fifth},
    **dict.fromkeys(FOLLOWING["item"], "cue"),
    ".": "end",
    "Task": "item",
    "\n": "line",
    "Output": "cue",
}


def make_writer(folder: Path, tokenizer_folder: Path) -> None:
    """A Llama that writes by construction, after any text and by any machine's rounding.

    After the end of a line it writes an output, and after most else a sentence of six words. What
    stands before decides how likely each of the words is that may follow; all that may not have
    less than a chance in a hundred together.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_llama(folder, tokenizer_folder)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    model = AutoModelForCausalLM.from_pretrained(folder)

    def token(text: str) -> int:
        (found,) = tokenizer.encode(text, add_special_tokens=False)
        return int(found)

    # A dimension a kind; in the others stand the token itself and what went before.
    places = {kind: place for place, kind in enumerate(FOLLOWING)}
    others = slice(len(places), None)
    words = {token(text) for kind in FOLLOWING if kind != "end" for text in FOLLOWING[kind]}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        embedding.zero_()
        embedding[:, others].normal_(std=0.8, generator=generator)
        embedding[:, places["other"]] = 8.0
        for text, kind in KINDS.items():
            embedding[token(text), places["other"]] = 0.0
            embedding[token(text), places[kind]] = 8.0
        head.zero_()
        for word in sorted(words):
            head[word, others].normal_(std=0.35, generator=generator)
        for kind, texts in FOLLOWING.items():
            for text in texts:
                head[token(text), places[kind]] = 3.0 + math.log(texts.count(text)) / 5
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            for part in (attention.q_proj, attention.k_proj, attention.v_proj):
                part.weight.normal_(std=0.3, generator=generator)
            for part in (attention.o_proj, mlp.down_proj):
                part.weight.zero_()
                part.weight[others].normal_(std=0.1, generator=generator)
    model.save_pretrained(folder)


def make_taught(
    folder: Path, backbone: Path, texts: Callable[[random.Random], str], *, steps: int
) -> None:
    """A backbone after some steps, on eight of the drawn texts each, as a checkpoint folder.

    The rate falls to nothing, so that no last step, of one machine's rounding, decides what it is.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(backbone)
    model = AutoModelForCausalLM.from_pretrained(backbone)
    rng = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(steps):
        drawn = [texts(rng) for _ in range(8)]
        batch = tokenizer(drawn, return_tensors="pt", padding=True, padding_side="right")
        labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_judges(reward_model: Path, evaluator: Path, tokenizer_folder: Path) -> None:
    """A random reward model and a random evaluator, as checkpoint folders."""
    import torch
    from transformers import AutoTokenizer, GPTNeoXConfig, T5Config, T5ForConditionalGeneration

    from refine_af.rewards.scorer import RewardModel

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    neox = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    RewardModel(neox).save(reward_model)
    t5 = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(t5).save_pretrained(evaluator)
    for folder in (reward_model, evaluator):
        tokenizer.save_pretrained(folder)


def make_tasks(folder: Path, *, tasks: int = 2, instances: int = 3) -> None:
    """Super-NI test tasks in upstream's file format, with the list that names them in order."""
    folder.mkdir(parents=True)
    names = [f"task{number}_tiny" for number in range(tasks)]
    (folder / "tasks.txt").write_text("".join(f"{name}\n" for name in names))
    for number, name in enumerate(names):
        task = {
            "Definition": [f"Repeat word {number} of the text"],
            "Categories": [["Text Copying", "Word Naming"][number % 2]],
            "Positive Examples": [{"input": "apple river", "output": "apple"}],
            "Instances": [
                {"id": f"{name}-{i}", "input": f"stone {i}", "output": ["stone"]}
                for i in range(instances)
            ],
        }
        (folder / f"{name}.json").write_text(json.dumps(task))


def make_seeds(path: Path, count: int = 12) -> None:
    rng = random.Random(2)
    rows = [{"id": f"seed_{i}", "instruction": sentence(rng, 6)} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_users(path: Path, count: int = 5) -> None:
    """User-oriented instructions in upstream's file format; every second one has an input."""
    rng = random.Random(4)
    rows = [
        {
            "id": f"user_{i}",
            "motivation_app": "tests",
            "instruction": sentence(rng, 6),
            "instances": [{"input": sentence(rng, 2) if i % 2 else "", "output": sentence(rng, 2)}],
        }
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_prompt(path: Path) -> None:
    """An instance prompt, whose last line a reply goes on from."""
    path.write_text("Do\nSort.\nOutput: River stone.\n\nDo\n{instruction}\n")


def demo_config() -> dict[str, Any]:
    """The demo's configuration, with what it takes from the paper's."""
    return read_configuration(ROOT / "demo" / "config.yaml").values


def tiny_config(world: Path) -> dict[str, Any]:
    """The demo's configuration cut down to a grid of seconds, on the models and data in `world`."""
    config: dict[str, Any] = demo_config()
    config["models"] = {"tiny": {"checkpoint": str(world / "llama")}}
    config["sizes"] = [4, 8]
    config["subsets"]["pool"] = 8
    config["data"] = {
        "seeds": str(world / "seeds.jsonl"),
        "user_instructions": str(world / "users.jsonl"),
        "superni": str(world / "tasks"),
    }
    for name in ("instances", "output_first", "classification"):
        config["prompts"][name] = str(world / "instances.txt")
    for stage in ("ppo", "instances"):
        config[stage]["sampling"] |= {"temperature": 0.7, "stop": ["Do", "Task"]}
    config["demo"] = config["diversity"] = None
    config["instructions"] |= {"segment_size": 4, "prompts_per_round": 8}
    config["watch"]["instructions"]["least_yield"] = 0.0
    config["instructions"]["novelty"]["threshold"] = "1.0"
    config["ppo"] |= {"steps": 1, "rollouts": 4, "batch_size": 4, "epochs": 1}
    config["ppo"] |= {"evaluation_prompts": 4, "samples_every": 1}
    config["reward"] |= {
        "model": str(world / "reward_model"),
        "evaluator": str(world / "evaluator"),
    }
    config["instances"]["prompts_per_round"] = 2
    config["watch"]["instances"] |= {"least_parsed": 0.0, "least_identified": 0.0}
    config["sft"]["epochs"] = 1
    config["superni"] |= {"instances_per_task": 2, "max_new_tokens": 4}
    del config["superni"]["baselines"]["base-first-line"]
    config["users"] |= {"max_new_tokens": 4}
    config["report"]["resamples"] = 100
    return config


def write_experiment(folder: Path, config: dict[str, Any]) -> Path:
    """An experiment's folder: its config.yaml, where `snakemake --directory` finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder
