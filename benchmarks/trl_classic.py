"""TRL's classic PPO trainer (0.11.4) on the steps that a file states: what benchmarks/ppo.py runs.

It needs that release ahead of the project's own on PYTHONPATH. The plan is JSON: settings, where
backbone and adapter stand, and each step's queries. With `own` the trainer learns from what it
draws itself: each step's responses go to standard output, their rewards come on standard input.
Otherwise it learns from the responses and rewards that the plan states, and what it draws is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ways import clock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from peft import LoraConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from trl import AutoModelForCausalLMWithValueHead, PPOConfig, PPOTrainer

from refine_af.models.backbones import load_tokenizer

STATS = {
    "objective/kl": "kl",
    "objective/kl_coef": "kl_coefficient",
    "ppo/loss/policy": "policy_loss",
    "ppo/loss/value": "value_loss",
}


def trainer_of(plan: dict[str, Any], tokenizer: Any) -> Any:
    """The trainer on the plan's backbone, with the plan's adapter and a value head of zeros."""
    settings = plan["settings"]
    lora = LoraConfig(
        r=settings["lora"]["r"],
        lora_alpha=settings["lora"]["alpha"],
        lora_dropout=0.0,
        target_modules=settings["lora"]["targets"],
        task_type="CAUSAL_LM",
    )
    model = AutoModelForCausalLMWithValueHead.from_pretrained(
        plan["backbone"], peft_config=lora, summary_dropout_prob=0.0
    )
    torch.nn.init.zeros_(model.v_head.summary.weight)
    torch.nn.init.zeros_(model.v_head.summary.bias)
    set_peft_model_state_dict(model.pretrained_model, load_file(plan["adapter"]))
    head = [entry for name, entry in model.named_parameters() if name.startswith("v_head")]
    chosen = {id(entry) for entry in head}
    rest = [e for e in model.parameters() if e.requires_grad and id(e) not in chosen]
    groups = [
        {"params": rest, "lr": settings["learning_rate"]},
        {"params": head, "lr": settings["value_learning_rate"]},
    ]
    config = PPOConfig(
        learning_rate=settings["learning_rate"],
        batch_size=settings["rollouts"],
        mini_batch_size=settings["batch_size"],
        gradient_accumulation_steps=settings["gradient_accumulation_steps"],
        ppo_epochs=settings["epochs"],
        init_kl_coef=settings["kl"]["coefficient"],
        adap_kl_ctrl=settings["kl"]["adaptive"],
        target=settings["kl"]["target"],
        horizon=settings["kl"]["horizon"],
        gamma=settings["gamma"],
        lam=settings["lam"],
        cliprange=settings["clip"],
        cliprange_value=settings["value_clip"],
        vf_coef=settings["value_coefficient"],
        max_grad_norm=settings["max_grad_norm"],
        seed=settings["seed"],
    )
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    return PPOTrainer(config, model, None, tokenizer, optimizer=optimizer)


def generated(trainer: Any, tokenizer: Any, queries: list[Any], sampling: dict[str, Any]) -> Any:
    """The trainer's own rollouts of the queries, side by side in one padded batch.

    What a stop string ended is filled up with padding, which the trainer would take for tokens
    that were drawn: it is cut off here.
    """
    stops = {"stop_strings": sampling["stop"], "tokenizer": tokenizer} if sampling["stop"] else {}
    made = trainer.generate(
        queries,
        batch_size=len(queries),
        return_prompt=False,
        do_sample=True,
        temperature=sampling["temperature"],
        top_k=0,
        top_p=1.0,
        max_new_tokens=sampling["max_new_tokens"],
        pad_token_id=tokenizer.pad_token_id,
        **stops,
    )
    drawn = []
    for row in made:
        (kept,) = (row != tokenizer.pad_token_id).nonzero(as_tuple=True)
        drawn.append(row[: int(kept[-1]) + 1] if len(kept) else row[:1])
    return drawn


def judged(responses: list[list[int]]) -> list[float]:
    """The rewards of the trainer's own responses, from the process that started this one."""
    print(json.dumps(responses), flush=True)
    rewards: list[float] = json.loads(sys.stdin.readline())
    return rewards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("found", type=Path)
    arguments = parser.parse_args()
    plan = json.loads(arguments.plan.read_text(encoding="utf-8"))
    tokenizer = load_tokenizer(Path(plan["backbone"]))
    trainer = trainer_of(plan, tokenizer)
    np.random.seed(plan["settings"]["seed"])
    found = []
    orders = [order for step in plan["steps"] for order in step["orders"]]
    if not plan["own"]:  # which rollouts make a minibatch: as in the run that drew them
        np.random.permutation = lambda count: np.array(orders.pop(0))
    for step in plan["steps"]:
        queries = [torch.tensor(ids) for ids in step["queries"]]
        start = clock()
        made = generated(trainer, tokenizer, queries, plan["settings"]["sampling"])
        drawn = clock()
        if plan["own"]:
            responses, rewards = made, judged([row.tolist() for row in made])
        else:
            responses, rewards = [torch.tensor(r) for r in step["responses"]], step["rewards"]
        begun = clock()
        stats = trainer.step(queries, responses, [torch.tensor(reward) for reward in rewards])
        found.append(
            {
                "generation": drawn - start,
                "drawn": sum(len(row) for row in made),
                "learning": clock() - begun,
                **{name: float(np.asarray(stats[key])) for key, name in STATS.items()},
            }
        )
    arguments.found.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
