"""What the model reads: vocabulary, worlds of facts, statements, datasets. No models here."""
