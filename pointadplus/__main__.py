"""`python -m pointadplus`, which is also what `accelerate launch -m pointadplus` runs."""

from .apps.cli import app

if __name__ == "__main__":
    app()
