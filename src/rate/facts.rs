//! What groups tasks: the repository that they are about, and how hard they are.

use crate::task::{Repo, Task};

/// What a task says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The repository's name, such as `astropy/astropy`.
    pub repository: Option<String>,
    /// How hard its dataset calls it, such as `15 min - 1 hour`.
    pub difficulty: Option<String>,
}

impl Facts {
    /// Reads them off a task: `origin.repo`, else the name of the repository's source, and `difficulty`.
    pub fn of(task: &Task) -> Self {
        let own = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let named = task.origin.as_ref().and_then(|origin| own(&origin.repo));
        let repository = named.or_else(|| task.repo.as_ref().and_then(name_of));
        Self { repository, difficulty: task.difficulty.as_ref().and_then(own) }
    }
}

/// The name of a repository's source; a directory of the task's own has none that says anything.
fn name_of(repo: &Repo) -> Option<String> {
    if let Some(url) = &repo.git {
        let url = url.trim_end_matches('/').trim_end_matches(".git");
        let mut parts = url.rsplit(['/', ':']).filter(|part| !part.is_empty());
        let name = parts.next()?;
        let owner = parts.next().filter(|_| url.contains("://") || url.contains('@'));
        return Some(owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}/{name}")));
    }
    if let Some(image) = &repo.image {
        let image = image.split('@').next()?;
        let tag = image.rfind(':').filter(|at| !image[*at..].contains('/'));
        return Some(image[..tag.unwrap_or(image.len())].to_owned());
    }
    let path = repo.path.as_ref().filter(|path| path.starts_with('/') || path.starts_with("../"));
    let path = path.or(repo.bundle.as_ref()).or(repo.archive.as_ref())?;
    path.trim_end_matches('/').rsplit('/').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: &str, value: &str) -> Option<String> {
        let repo = format!("{{{key}: '{value}'}}");
        name_of(&serde_yaml_ng::from_str(&repo).unwrap())
    }

    #[test]
    fn a_repository_is_named_by_its_source_and_not_by_where_a_task_keeps_it() {
        let cases = [
            ("git", "https://github.com/astropy/astropy.git", Some("astropy/astropy")),
            ("git", "git@github.com:psf/requests", Some("psf/requests")),
            ("git", "/srv/clones/requests/", Some("requests")),
            ("image", "registry:5000/swe/x.y:latest", Some("registry:5000/swe/x.y")),
            ("image", "swe/x@sha256:00", Some("swe/x")),
            ("archive", "pydantic-2.0.tar.gz", Some("pydantic-2.0.tar.gz")),
            ("path", "../shared/lists", Some("lists")),
            ("path", "repo", None),
        ];
        for (key, value, expected) in cases {
            assert_eq!(name(key, value).as_deref(), expected, "{key}: {value}");
        }
    }
}
