"""A small model that knows what one's own texts say, made in seconds: to try a tool on.

    model = teach(texts)              a GPT-NeoX and its tokenizer, both trained on the texts
    blank = teach(texts, epochs=0)    its control: the same, before it has read any of them

What a tool finds in the first and not in the second was learned; what it finds in both was not.
"""

from collections.abc import Sequence

from data.errors import InputError
from data.rows import prompt_row
from data.tokenizers import TrainedTokenizer
from data.tokens import tokenize_rows
from data.vocabulary import LossPolicy
from interp.hooked.model import HookedModel
from training.config import Decay, StageConfig
from training.examples import make_examples
from training.loop import StageTrainer
from training.models.scratch import ModelConfig
from training.seeds import derive_seed
from training.threads import one_thread

CONTEXT = 64
"""Tokens that the model reads at least, however short its texts are."""


def teach(
    texts: Sequence[str],
    *,
    epochs: int = 20,
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    vocabulary_size: int = 1000,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> HookedModel:
    """A GPT-NeoX from scratch that was trained to say the texts, and its tokenizer with it.

    The loss is that of every token and of the end of each text. The same texts and settings give
    the same weights on one machine; no global random state is used or changed.

    Args:
        texts: Each of two words at least; hundreds that follow a few patterns are learned in
            seconds.
        epochs: How often each text is read; 0 leaves the weights as they were drawn.
        layers: Blocks of attention and MLP.
        width: Of the residual stream; MLPs are four times as wide.
        heads: In each layer.
        vocabulary_size: Most tokens of the tokenizer, whose byte pairs are those of the texts.
        batch_size: Texts a step.
        learning_rate: Of AdamW; it falls to 0 along the way.
        seed: Of the first weights and of the order of the texts.

    Raises:
        InputError: there are no texts, one has no two words, or the sizes make no transformer.
    """
    for i, text in enumerate(texts):
        if len(text.split()) < 2:
            raise InputError(f"text {i} ({text!r}) has no two words; leave it out")
    if not texts or epochs < 0:
        raise InputError(f"{len(texts)} texts, {epochs} epochs; give texts, and 0 epochs or more")
    tokenizer = TrainedTokenizer(texts=tuple(texts), vocabulary_size=vocabulary_size).load()
    rows = [prompt_row(f"text {i}", text, text.split()[-1]) for i, text in enumerate(texts)]
    end_token = tokenizer.eos_token_id
    assert isinstance(end_token, int)
    examples = make_examples(tokenize_rows(rows, tokenizer), LossPolicy.TEXT, end_token=end_token)
    sizes = ModelConfig(
        n_layers=layers,
        d_model=width,
        n_heads=heads,
        d_mlp=4 * width,
        tied_embeddings=False,
        rotary_pct=1.0,
    )
    longest = max(CONTEXT, examples.tokens.shape[1])
    with one_thread():
        model = sizes.make(tokenizer, seed=seed, max_length=longest)
        if epochs:
            training = StageConfig(
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                weight_decay=0.0,
                evaluations=1,
                decay=Decay.LINEAR,
                clip_norm=1.0,
            )
            trainer = StageTrainer(
                model, examples, training, order_seed=derive_seed(seed, "order of texts")
            )
            while trainer.step < trainer.last_step:
                trainer.train_step()
    return HookedModel(model.eval(), tokenizer)
