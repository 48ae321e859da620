//! Who runs a sandbox's commands: the image's own user of that name, else one added to its files.

/// A user of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) home: String,
    /// The image's `/etc/passwd` and `/etc/group` with this user in them, when it had to be added.
    pub(super) added: Option<(String, String)>,
}

/// The first id tried for a new user.
const FIRST_ID: u64 = 1000;

impl User {
    /// Finds `name` in an image's `passwd`, or adds it there with ids that are free.
    pub(super) fn choose(name: &str, passwd: String, group: String) -> Self {
        if let Some(user) = find(name, &passwd) {
            return user;
        }
        let taken = |id: u64| {
            [&passwd, &group]
                .iter()
                .any(|file| file.lines().any(|line| field(line, 2) == Some(id.to_string().as_str())))
        };
        let id = (FIRST_ID..=u64::from(u32::MAX))
            .find(|id| !taken(*id))
            .expect("invariant: a file names finitely many ids");
        let home = format!("/home/{name}");
        let passwd = with_line(passwd, &format!("{name}:x:{id}:{id}::{home}:/bin/bash"));
        let group = with_line(group, &format!("{name}:x:{id}:"));
        Self { uid: id, gid: id, home, added: Some((passwd, group)) }
    }

    pub(super) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// As Docker writes it.
    pub(super) fn ids(&self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }
}

fn find(name: &str, passwd: &str) -> Option<User> {
    if name == "root" {
        return Some(User { uid: 0, gid: 0, home: "/root".to_owned(), added: None });
    }
    let line = passwd.lines().find(|line| field(line, 0) == Some(name))?;
    Some(User {
        uid: field(line, 2)?.parse().ok()?,
        gid: field(line, 3)?.parse().ok()?,
        home: field(line, 5)?.to_owned(),
        added: None,
    })
}

fn field(line: &str, idx: usize) -> Option<&str> {
    line.split(':').nth(idx)
}

fn with_line(mut file: String, line: &str) -> String {
    if !file.is_empty() && !file.ends_with('\n') {
        file.push('\n');
    }
    file.push_str(line);
    file.push('\n');
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_own_user_is_used_as_it_is() {
        let user = User::choose(
            "agent",
            "root:x:0:0::/root:/bin/sh\nagent:x:7:8::/srv:/bin/sh\n".to_owned(),
            String::new(),
        );
        assert_eq!(user, User { uid: 7, gid: 8, home: "/srv".to_owned(), added: None });
    }

    #[test]
    fn a_new_user_takes_ids_that_nobody_has() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh".to_owned();
        let user = User::choose("agent", passwd, "root:x:0:\nvideo:x:1001:\n".to_owned());
        assert_eq!((user.uid, user.gid), (1002, 1002));
        let (passwd, group) = user.added.unwrap();
        assert!(passwd.ends_with("/bin/sh\nagent:x:1002:1002::/home/agent:/bin/bash\n"));
        assert!(group.ends_with("\nagent:x:1002:\n"));
    }
}
