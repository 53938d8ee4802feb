"""From rows to findings: each file answers one question about a run or a published table, with numpy and scipy."""
