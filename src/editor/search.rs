//! `find_file`, `search_dir` and `search_file`: the sandbox's own find and grep, told as SWE-agent does.

use super::{Files, Found, Outcome, absolute, quoted};

/// Matches beyond which the agent is asked to narrow its search.
const MOST: usize = 100;

pub(super) async fn find_file<F: Files>(files: &mut F, words: &[String]) -> Result<Outcome, F::Error> {
    let (name, directory) = match directory_of(files, words, "find_file <file_name>").await? {
        Ok(place) => place,
        Err(outcome) => return Ok(outcome),
    };
    let found = files.run(&format!("find {} -type f -name {}", quoted(&directory), quoted(&name))).await?;
    let found = found.trim_end_matches('\n');
    if found.is_empty() {
        return Ok(Outcome::done(format!("No matches found for \"{name}\" in {directory}\n")));
    }
    let count = found.lines().count();
    Ok(Outcome::done(format!("Found {count} matches for \"{name}\" in {directory}:\n{found}\n")))
}

pub(super) async fn search_dir<F: Files>(files: &mut F, words: &[String]) -> Result<Outcome, F::Error> {
    let (term, directory) = match directory_of(files, words, "search_dir <search_term>").await? {
        Ok(place) => place,
        Err(outcome) => return Ok(outcome),
    };
    // Counted and sorted there: the collation is the sandbox's.
    let script = format!(
        "find {} -type f ! -path '*/.*' -exec grep -nIH -- {} {{}} + | cut -d: -f1 | sort | uniq -c",
        quoted(&directory),
        quoted(&term)
    );
    let counted = files.run(&script).await?;
    let counts: Vec<(u64, &str)> = counted.lines().filter_map(read_count).collect();
    if counts.is_empty() {
        return Ok(Outcome::done(format!("No matches found for \"{term}\" in {directory}\n")));
    }
    if MOST < counts.len() {
        return Ok(Outcome::done(format!(
            "More than {} files matched for \"{term}\" in {directory}. Please narrow your search.\n",
            counts.len()
        )));
    }
    let total: u64 = counts.iter().map(|(count, _)| count).sum();
    let mut output = format!("Found {total} matches for \"{term}\" in {directory}:\n");
    for (count, path) in counts {
        output.push_str(&format!("{path} ({count} matches)\n"));
    }
    output.push_str(&format!("End of matches for \"{term}\" in {directory}\n"));
    Ok(Outcome::done(output))
}

pub(super) async fn search_file<F: Files>(
    files: &mut F,
    open: Option<&str>,
    words: &[String],
) -> Result<Outcome, F::Error> {
    const USAGE: &str = "Usage: search_file <search_term> [<file>]\n";
    let Some(term) = words.first().filter(|term| !term.is_empty()) else {
        return Ok(Outcome::done(USAGE));
    };
    let path = match (words.get(1), open) {
        (Some(name), _) => {
            let path = absolute(files, name).await?;
            if !matches!(files.read(&path).await?, Found::File(_)) {
                return Ok(Outcome::done(format!(
                    "{USAGE}Error: File name {name} not found. Please provide a valid file name.\n"
                )));
            }
            path
        }
        (None, Some(open)) => open.to_owned(),
        (None, None) => return Ok(Outcome::done("No file open. Use the open command first.\n")),
    };
    let matches = files.run(&format!("grep -n -- {} {}", quoted(term), quoted(&path))).await?;
    let matches: Vec<&str> = matches.lines().collect();
    if matches.is_empty() {
        return Ok(Outcome::done(format!("No matches found for \"{term}\" in {path}\n")));
    }
    // The original counts the files among the matches, which is one: it never asks to narrow.
    let mut output = format!("Found {} matches for \"{term}\" in {path}:\n", matches.len());
    for line in matches {
        output.push_str(&format!("Line {line}\n"));
    }
    output.push_str(&format!("End of matches for \"{term}\" in {path}\n"));
    Ok(Outcome::done(output))
}

/// The pattern and the absolute directory, or what the original says instead.
async fn directory_of<F: Files>(
    files: &mut F,
    words: &[String],
    usage: &str,
) -> Result<Result<(String, String), Outcome>, F::Error> {
    let (pattern, name) = match words {
        [pattern] => (pattern, "./"),
        [pattern, name] => (pattern, name.as_str()),
        _ => return Ok(Err(Outcome::done(format!("Usage: {usage} [<dir>]\n")))),
    };
    let path = absolute(files, name).await?;
    if name != "./" && files.read(&path).await? != Found::Directory {
        return Ok(Err(Outcome::done(format!("Directory {name} not found\n"))));
    }
    Ok(Ok((pattern.clone(), path)))
}

fn read_count(line: &str) -> Option<(u64, &str)> {
    let (count, path) = line.trim_start().split_once(' ')?;
    Some((count.parse().ok()?, path))
}
