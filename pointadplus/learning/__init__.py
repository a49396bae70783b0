"""Making objects in code, training on labelled ones, and protocols; nothing that scores imports it."""
