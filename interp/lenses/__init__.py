"""What would the model say if its residual stream ended here? Lenses and logit attribution."""
