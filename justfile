# Recipes for everyday work; each is one command that also works without just.

# What must pass before anything lands.
check:
    .ci/run

# Every test, with the counterparts they need.
test *arguments:
    bash scripts/test.sh {{arguments}}

# Criterion benchmarks, one file per question.
bench *arguments:
    cargo bench {{arguments}}

# The library's documentation.
doc:
    cargo doc --no-deps --open
