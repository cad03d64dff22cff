//! The pages "adding a ..." of `docs/`, followed word by word: what they tell to write is written, loaded, rendered and read by shellcheck.

use clap::Parser;

use super::rendered::{complaints, job_scripts, render, sorted};
use crate::catalog::Catalog;

/// Files that a page tells to write: a line with the path in back quotes and a colon, then a fenced block.
fn files(page: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let path = line.strip_prefix("`job-scripts/").and_then(|rest| rest.strip_suffix("`:"));
        let Some(path) = path else { continue };
        let block: Vec<&str> = lines
            .by_ref()
            .skip_while(|line| !line.starts_with("```"))
            .skip(1)
            .take_while(|line| !line.starts_with("```"))
            .collect();
        files.push((path.to_owned(), block.join("\n") + "\n"));
    }
    files
}

/// Follows a page; gives the number of samples that came out as it says.
fn follow(page: &str) -> usize {
    let text = fs_err::read_to_string(job_scripts().join("../docs").join(page)).unwrap();
    let written = files(&text);
    // Samples of types that Lotse brings make no job type of the site.
    let (site, samples) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (path, content) in &written {
        let folder = path.split('/').next().unwrap_or_default();
        let declared = written.iter().any(|(path, _)| *path == format!("{folder}/job.yaml"));
        let root = if declared || folder == "distributions" { site.path() } else { samples.path() };
        fs_err::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs_err::write(root.join(path), content).unwrap();
    }
    let catalog = Catalog::load(&job_scripts().join(".."), Some(site.path()))
        .unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut followed = 0;
    for directory in sorted(site.path()).into_iter().chain(sorted(samples.path())) {
        let job_type = directory.file_name().unwrap().to_string_lossy().into_owned();
        for sample in sorted(&directory.join("samples")) {
            let name = sample.file_stem().unwrap().to_string_lossy().into_owned();
            let rendered = render(&catalog, &job_type, &sample);
            for (file, content) in &rendered {
                let stated = format!("{job_type}/expected/{name}/{file}");
                if let Some((_, stated)) = written.iter().find(|(path, _)| *path == stated) {
                    assert_eq!(content, stated, "{page}: {job_type}/{name}/{file}");
                }
                if file.ends_with(".sh") {
                    let script = samples.path().join(file);
                    fs_err::write(&script, content).unwrap();
                    assert_eq!(complaints(&script), "", "{page}: {job_type}/{name}/{file}");
                }
            }
            let stated = format!("{job_type}/expected/{name}/");
            for (path, _) in written.iter().filter(|(path, _)| path.starts_with(&stated)) {
                assert!(rendered.contains_key(&path[stated.len()..]), "{page}: {path} does not come out");
            }
            followed += 1;
        }
    }
    followed
}

/// Commands of a page that begin with `lotse`, as words.
fn commands(page: &str) -> Vec<Vec<String>> {
    let text = fs_err::read_to_string(job_scripts().join("../docs").join(page)).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("lotse "));
    lines.map(|line| line.split(' ').map(|word| word.replace('\'', "")).collect()).collect()
}

#[test]
fn every_command_on_the_pages_is_understood() {
    for page in [
        "adding-a-job-type.md",
        "adding-a-distribution.md",
        "other-distributions.md",
        "user-data.md",
        "desktops.md",
        "cloudstack.md",
        "kvm.md",
        "taking-over.md",
    ] {
        let commands = commands(page);
        assert!(!commands.is_empty(), "{page} has no commands");
        for words in commands {
            if let Err(error) = crate::cli::Arguments::try_parse_from(&words) {
                panic!("{page}: {}: {error}", words.join(" "));
            }
        }
    }
}

#[test]
fn the_page_about_job_types_works_word_by_word() {
    assert_eq!(follow("adding-a-job-type.md"), 2);
}

#[test]
fn the_page_about_other_distributions_works_word_by_word() {
    assert_eq!(follow("other-distributions.md"), 3);
}

#[test]
fn the_page_about_distributions_works_word_by_word() {
    assert_eq!(follow("adding-a-distribution.md"), 2);
}
