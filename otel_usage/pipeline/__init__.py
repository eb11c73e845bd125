"""From finished spans to delivered batches: sampler, processor, worker, exporters."""
