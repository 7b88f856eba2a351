"""Renders the chart with each set of values, and tries values that have to be refused.

Arguments: the chart, the directory of values, the values of the kustomize base, the directory to write to. Prints a line for
each finding, and ends with 1 where there is one.
"""

import pathlib
import sys

import helm_python as helm

chart_directory, sets, base, out = map(pathlib.Path, sys.argv[1:])
findings = []
# Groups of kinds that Kubernetes does not have itself: their objects are written apart too.
CUSTOM = ["monitoring.coreos.com", "keda.sh"]


def found(file, what):
    findings.append(f"{file}: {what}")


def rendered(chart, file):
    """All objects, each behind its separator, in the order of their files."""
    values = helm.values_from_yaml(file.read_text())
    chart.validate_schema(values)
    files = chart.render(values, name="lockstep", namespace="lockstep", revision=1, is_install=True)
    # Without Helm nobody runs its tests.
    left_out = "/tests/" if file == base else "NOTES.txt"
    texts = (text.strip() for name, text in sorted(files.items()) if left_out not in name and name.endswith(".yaml"))
    objects = (part.strip() for text in texts for part in ("\n" + text).split("\n---\n"))
    return "".join(f"---\n{part}\n" for part in objects if part)


with helm.Chart.load(chart_directory) as chart:
    for file in [*sorted(sets.glob("*.yaml")), base]:
        name = "kustomize" if file == base else file.stem
        try:
            text = rendered(chart, file)
            (out / f"{name}.yaml").write_text(text)
            for number, part in enumerate(text.split("---\n")):
                if any(f"apiVersion: {group}/" in part for group in CUSTOM):
                    (out / "custom" / f"{name}-{number}.yaml").write_text(part)
        except helm.HelmError as error:
            found(file, f"it cannot be rendered: {error}")
            continue
        lint = helm.lint(chart_directory, helm.values_from_yaml(file.read_text()), strict=True)
        for message in lint["messages"]:
            # 1 is advice, such as an icon.
            if message["severity"] > 1:
                found(file, f"helm lint: {message['error']}")
    for file in sorted(sets.glob("refused/*.yaml")):
        expected = file.read_text().splitlines()[0].removeprefix("# expect: ")
        try:
            rendered(chart, file)
            found(file, "it is rendered, and has to be refused")
        except helm.HelmError as error:
            if expected not in str(error):
                found(file, f"it is refused with other words than {expected!r}: {error}")

print("\n".join(findings))
sys.exit(bool(findings))
