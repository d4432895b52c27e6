#!/usr/bin/env bash
# Fails a build when more than 75 % of the error budget is spent: a bare Python and jq are all it needs.
# Numbers come from a file; where Mainstay can ask the source itself, `mainstay slo gate` does more (github/slo-gate.yml).
#   examples/ci-budget-check.sh [CONFIG [MOST_PERCENT]]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
config=${1:-$here/slo-config.yaml}
most=${2:-75}

budget=$(python3 "$here/../scripts/calculate_slo_budget.py" --config "$config" --json)
spent=$(jq '.consumption_percent' <<<"$budget")
if [ "$spent" = null ]; then
    echo "nothing was measured, so the budget cannot say anything" >&2
    exit 3
fi
if jq --exit-status --argjson most "$most" '.consumption_percent > $most' <<<"$budget" >/dev/null; then
    echo "the error budget is spent to $spent %, more than $most %" >&2
    exit 1
fi
echo "the error budget is spent to $spent %, at most $most % is fine"
