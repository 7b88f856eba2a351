//! `deploy/` stays true: what it names exists, and what it runs is pinned.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FILES: [&str; 2] = ["deploy/compose.yaml", "deploy/Containerfile"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("cannot read {file}: {error}"))
}

/// All Rust text below a directory.
fn sources(directory: &Path) -> String {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    let texts = paths.map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).expect("a listed file can be read"),
        _ => String::new(),
    });
    texts.collect()
}

/// Lines that are no comments, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.starts_with('#'))
}

/// Words of letters, digits, `_` and `-`, each at its longest.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_' && character != '-')
}

/// Names of the binaries that the workspace's crates declare.
fn binaries() -> BTreeSet<String> {
    let crates = fs::read_dir(root().join("crates")).expect("crates/ is missing");
    let manifests = crates.flatten().map(|entry| entry.path().join("Cargo.toml")).filter(|path| path.exists());
    let texts = manifests.map(|path| fs::read_to_string(path).expect("a manifest that exists can be read"));
    let names = texts.flat_map(|text| {
        let tables = text.split("[[bin]]").skip(1).map(str::to_owned).collect::<Vec<_>>();
        tables.into_iter().filter_map(|table| Some(table.split("name = \"").nth(1)?.split('"').next()?.to_owned()))
    });
    names.collect()
}

/// The programs that the compose file starts: the first word of each command.
fn commands(compose: &str) -> Vec<&str> {
    let commands = lines(compose).filter_map(|(_, line)| line.strip_prefix("command: [\""));
    commands.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_setting_that_deploy_names_exists() {
    let settings = sources(&root().join("crates"));
    for file in FILES {
        let text = read(file);
        for (number, line) in lines(&text) {
            for name in words(line).filter(|word| word.starts_with("LOCKSTEP_")) {
                let declared = settings.contains(&format!("env = \"{name}\""));
                assert!(declared, "{file}:{number}: no program has the setting {name}");
            }
        }
    }
}

#[test]
fn every_program_that_deploy_names_exists_and_is_in_the_image() {
    let (compose, image, binaries) = (read("deploy/compose.yaml"), read("deploy/Containerfile"), binaries());
    let in_image: BTreeSet<_> = lines(&image)
        .filter_map(|(_, line)| line.split("target/release/").nth(1))
        .map(|rest| words(rest).next().unwrap_or_default().to_owned())
        .collect();
    let built: BTreeSet<_> =
        image.split("--bin ").skip(1).filter_map(|rest| words(rest).next()).map(str::to_owned).collect();
    assert_eq!(in_image, built, "deploy/Containerfile: what is built and what is installed differ");
    assert!(in_image.is_subset(&binaries), "deploy/Containerfile: of {in_image:?} only {binaries:?} exist");

    let commands = commands(&compose);
    for program in ["lockstep", "lockstep-sequencer", "lockstep-worker", "lockstep-verifier"] {
        assert!(commands.contains(&program), "deploy/compose.yaml: nothing runs {program}: {commands:?}");
    }
    for program in commands {
        assert!(in_image.contains(program), "deploy/compose.yaml: {program} is not in the image");
    }
}

#[test]
fn every_image_is_pinned_to_a_version() {
    let (compose, image) = (read("deploy/compose.yaml"), read("deploy/Containerfile"));
    let images = lines(&compose).filter_map(|(_, line)| line.strip_prefix("image: "));
    let stages = lines(&image).filter_map(|(_, line)| line.strip_prefix("FROM ")?.split_whitespace().next());
    let names: Vec<_> = images.chain(stages).collect();
    assert_eq!(names.len(), 6, "three services, our own image and two stages: {names:?}");
    for name in names {
        let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("", |(_, tag)| tag);
        let version = tag.split('-').next().unwrap_or_default();
        let pinned = version.contains('.') && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        assert!(pinned, "{name}: not pinned to a version of the form 1.2.3");
    }
}

#[test]
fn our_image_has_the_version_of_the_workspace_and_runs_without_root() {
    let (compose, image, manifest) = (read("deploy/compose.yaml"), read("deploy/Containerfile"), read("Cargo.toml"));
    let version = manifest.split("\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    let version = version.expect("the workspace has a version");
    assert!(compose.contains(&format!("image: lockstep:{version}\n")), "deploy/compose.yaml: not version {version}");
    let user = lines(&image).filter_map(|(_, line)| line.strip_prefix("USER ")).last();
    assert!(user.is_some_and(|user| !user.starts_with('0') && user != "root"), "deploy/Containerfile runs as {user:?}");
}

#[test]
fn the_image_is_built_with_the_compiler_that_the_workspace_asks_for() {
    let (image, manifest) = (read("deploy/Containerfile"), read("Cargo.toml"));
    let asked = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next());
    let asked = asked.expect("the workspace names a compiler");
    assert!(image.contains(&format!("/rust:{asked}.")), "deploy/Containerfile: not Rust {asked}");
}
