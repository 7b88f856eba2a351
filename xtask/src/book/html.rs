//! Links of the finished book: those into the rest of the repository lead there, and every other leads to a page of the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::REPOSITORY;

/// A page that is shown for addresses which lead nowhere: its links start at the server's root.
const NOT_FOUND: &str = "404.html";

/// Mends the links of all pages, and names those that lead nowhere.
pub(super) fn mend(book: &Path, repository: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    collect(book, book, &mut pages)?;
    let ids: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|(page, text)| (page.clone(), attributes(text, &[" id=\""]).map(str::to_owned).collect()))
        .collect();
    let mut dead = Vec::new();
    for (page, text) in pages.iter().filter(|(page, _)| !page.ends_with(NOT_FOUND)) {
        let mut mended = text.clone();
        for link in attributes(text, &["href=\"", "src=\""]).collect::<BTreeSet<_>>() {
            match target(page, link, repository) {
                Target::Elsewhere => {}
                Target::Repository(address) => {
                    mended = mended.replace(&format!("href=\"{link}\""), &format!("href=\"{address}\""));
                }
                Target::Page { file, link: right, anchor } => {
                    let known = anchor.is_empty() || ids.get(&file).is_none_or(|ids| ids.contains(&anchor));
                    if !known || !book.join(&file).exists() {
                        dead.push(format!("{}: {link} leads nowhere", page.display()));
                    }
                    mended = mended.replace(&format!("href=\"{link}\""), &format!("href=\"{right}\""));
                }
                Target::Nowhere => dead.push(format!("{}: {link} leads nowhere", page.display())),
            }
        }
        if mended != *text {
            fs::write(book.join(page), mended).with_context(|| format!("cannot write {}", page.display()))?;
        }
    }
    Ok(dead)
}

/// Where a link leads.
#[derive(PartialEq, Eq, Debug)]
enum Target {
    /// Out of the book, by its full address.
    Elsewhere,
    /// To a file of this repository that is no page.
    Repository(String),
    /// To a file of the book, with the link as it has to be.
    Page {
        file: PathBuf,
        link: String,
        anchor: String,
    },
    Nowhere,
}

fn target(page: &Path, link: &str, repository: &Path) -> Target {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
        return Target::Elsewhere;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    // mdBook names the index of a directory as browsers ask for it, and does not tell the links.
    let right = path.strip_suffix("README.html").map_or_else(|| path.to_owned(), |start| format!("{start}index.html"));
    let from = page.parent().unwrap_or(Path::new(""));
    let Some(file) = resolved(if path.is_empty() { Path::new("") } else { from }, &right) else {
        // One step above the book's pages is the repository; its pages were renamed as if they were the book's.
        let Some(file) = resolved(&Path::new("docs").join(from), path) else { return Target::Nowhere };
        let page = file.with_extension("md");
        let Some(file) = [file, page].into_iter().find(|file| repository.join(file).exists()) else {
            return Target::Nowhere;
        };
        let anchor = if anchor.is_empty() { String::new() } else { format!("#{anchor}") };
        return Target::Repository(format!("{REPOSITORY}/{}{anchor}", file.display()));
    };
    let file = if path.is_empty() { page.to_owned() } else { file };
    let link = if anchor.is_empty() { right } else { format!("{right}#{anchor}") };
    Target::Page { file, link, anchor: anchor.to_owned() }
}

/// The path that a relative one leads to from a directory; nothing where it leaves the root.
fn resolved(from: &Path, path: &str) -> Option<PathBuf> {
    let mut resolved = from.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part != ".." {
            resolved.push(part);
        } else if !resolved.pop() {
            return None;
        }
    }
    Some(resolved)
}

/// The values of attributes that begin so.
fn attributes<'a>(text: &'a str, names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(|name| text.split(name).skip(1).filter_map(|rest| rest.split('"').next()))
}

fn collect(root: &Path, directory: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            pages.insert(path.strip_prefix(root)?.to_owned(), fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_to_the_repository_or_nowhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let leads = |link: &str| target(Path::new("guides/verify.html"), link, root);
        let page = |file: &str, link: &str, anchor: &str| Target::Page {
            file: file.into(),
            link: link.into(),
            anchor: anchor.into(),
        };
        assert_eq!(leads("https://example.com"), Target::Elsewhere);
        assert_eq!(leads("../errors/README.html"), page("errors/index.html", "../errors/index.html", ""));
        assert_eq!(leads("../json.html#a"), page("json.html", "../json.html#a", "a"));
        assert_eq!(leads("#below"), page("guides/verify.html", "#below", "below"));
        assert_eq!(leads("../../README.html#x"), Target::Repository(format!("{REPOSITORY}/README.md#x")));
        assert_eq!(leads("../../deploy/compose.yaml"), Target::Repository(format!("{REPOSITORY}/deploy/compose.yaml")));
        assert_eq!(leads("../../nothing"), Target::Nowhere);
        assert_eq!(leads("../../../elsewhere"), Target::Nowhere);
    }
}
