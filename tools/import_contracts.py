"""One contract type for import-linter: `forbidden`, for modules of which some are not written yet.

Problem: import-linter refuses a contract that names a module of ours which does not exist, so a rule such
as "the sandbox never imports venues.sim" could only be written after venues.sim, when it is too late.

Not here: the contracts themselves (`.importlinter`). A mistyped name would be skipped silently, so
tests/architecture plants a violation for every name that a contract of this type lists.
"""

from typing import cast

from grimp import ImportGraph
from importlinter import ContractCheck
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.domain.helpers import module_expression_to_modules
from importlinter.domain.imports import ModuleExpression


class ForbiddenOncePresent(ForbiddenContract):
    """Forbid imports between those of the listed modules that exist; without any the contract is kept."""

    type_name = "forbidden_once_present"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        for name in ("source_modules", "forbidden_modules"):
            listed = cast("set[ModuleExpression]", getattr(self, name))
            setattr(self, name, {each for each in listed if self._is_present(graph, each)})
        return super().check(graph, verbose)

    @staticmethod
    def _is_present(graph: ImportGraph, expression: ModuleExpression) -> bool:
        found = module_expression_to_modules(graph, expression, as_packages=False)
        return any(module.name in graph.modules for module in found)
