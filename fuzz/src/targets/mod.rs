//! What is fuzzed: each target reads bytes as Remesa would, says in a word what it came to, and panics where something
//! does not hold that must.

mod csv;
mod jobs;
mod templates;
mod webhooks;
mod words;

/// One target.
#[derive(Debug)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Inputs to begin with: good ones.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its language.
    pub words: &'static [&'static str],
    /// Reads an input. What it tells is short, and the same for inputs that were treated alike.
    pub read: fn(&[u8]) -> String,
}

/// All of them.
pub static ALL: [Target; 5] = [jobs::TARGET, csv::TARGET, templates::TARGET, webhooks::TARGET, words::TARGET];

/// The files of a folder of the repository, each after what `before` says of its path.
fn files_of(folder: &str, before: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let entries = std::fs::read_dir(root).expect("the folder is in the repository").filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let mut input = before(&path.file_name().unwrap_or_default().to_string_lossy());
        input.extend(std::fs::read(path).unwrap_or_default());
        input
    };
    paths.into_iter().map(read).collect()
}
