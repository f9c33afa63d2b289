//! Warnings about valid mappings that are probably not meant so, for `check`.

use super::Mapping;
use super::definitions::misspelled;
use super::rule::Rule;
use crate::yaml::{Place, Problem, Problems, Spot};
use mldash_message::Definitions;

impl Mapping {
    /// Probable mistakes, in the order of the text: an entry that never gets a topic since an
    /// earlier one matches them all, an environment variable that `env` does not have, no
    /// experiment, a message package that is not in `definitions` and is almost named like a
    /// common one.
    pub fn warnings(
        &self,
        env: impl Fn(&str) -> Option<String>,
        definitions: &Definitions,
    ) -> Vec<Problem> {
        let mut found = Problems::default();
        let named = self.experiment.iter().flat_map(|experiment| {
            experiment.value.variables().map(|variable| (variable, &experiment.spot))
        });
        for (variable, spot) in named.chain(self.labels.variables()) {
            if env(variable).is_none() {
                let message = format!("the environment variable {variable} is not set");
                let hint = format!("set it where the recording starts: `export {variable}=…`");
                found.add(spot, message, Some(hint));
            }
        }
        if self.experiment.is_none() {
            let spot = Spot::of_text(Place::START);
            let hint =
                "write `experiment: owner/project/{date}-{time}`, or start with `--experiment`";
            found.add(&spot, "no `experiment`", Some(hint.to_owned()));
        }
        for (i, later) in self.rules.iter().enumerate() {
            if let Some(first) = self.rules[..i].iter().find(|first| leaves_nothing(first, later)) {
                let (taken, line) = (first.topic(), first.place().line);
                let message =
                    format!("`{taken}` in line {line} takes every topic of `{}`", later.topic());
                let hint = "put this entry before that one: the first that fits counts";
                found.add(&later.topic.spot, message, Some(hint.to_owned()));
            }
        }
        self.check_types(&mut found, |ty, _| misspelled(ty, definitions).into_iter().collect());
        found.sorted()
    }
}

/// Returns true if `later`, a glob after `first`, gets no topic. A topic's own name goes before all
/// globs.
fn leaves_nothing(first: &Rule, later: &Rule) -> bool {
    let is_hidden = later.topic().is_glob() && first.topic().covers(later.topic());
    is_hidden && first.takes_types_of(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_probably_not_meant_so_is_warned_about() {
        let warnings = |text: &str| -> Vec<String> {
            let mapping = Mapping::parse(text, "m.yaml").unwrap();
            let env = |name: &str| (name == "SET").then(String::new);
            let warnings = mapping.warnings(env, &Definitions::from_prefixes([]));
            warnings.iter().map(|warning| warning.message().to_owned()).collect()
        };
        let named = "experiment: a/b/{env:SET}\ntopics:\n";
        assert_eq!(warnings("topics: [{topic: /a}]"), ["no `experiment`"]);
        let unset = warnings("experiment: a/b/{env:NOT_SET}\ntopics: [{topic: /a}]");
        assert_eq!(unset, ["the environment variable NOT_SET is not set"]);
        let unset = warnings(&format!("tags: ['x-{{env:ROOM}}']\n{named}- {{topic: /a}}"));
        assert_eq!(unset, ["the environment variable ROOM is not set"]);
        let slip = warnings(&format!("{named}- {{topic: /a, type: geometry_msg/msg/Pose}}"));
        assert_eq!(slip, ["the message package `geometry_msg` is not known"]);
        for (first, later) in
            [("/**", "/odom/*"), ("/*/imu", "/r?/imu"), ("/a/**", "/a/*/x"), ("/*", "/a*")]
        {
            let text = format!("{named}- {{topic: '{first}'}}\n- {{topic: '{later}'}}\n");
            let told = format!("`{first}` in line 3 takes every topic of `{later}`");
            assert_eq!(warnings(&text), [told]);
            let text = format!("{named}- {{topic: '{later}'}}\n- {{topic: '{first}'}}\n");
            assert!(warnings(&text).is_empty(), "{first} behind {later}");
        }
        // A name goes before globs; an entry for one type leaves the others; hidden topics are not in a glob.
        for (first, later) in [
            ("{topic: '/**'}", "{topic: /odom}"),
            ("{topic: '/**', type: a_msgs/msg/A}", "{topic: '/odom/*'}"),
            ("{topic: '/**'}", "{topic: '/*/_action/status'}"),
            ("{topic: '/x/*'}", "{topic: '/x/**'}"),
            ("{topic: '/*/imu'}", "{topic: '/*/imu2'}"),
        ] {
            assert!(
                warnings(&format!("{named}- {first}\n- {later}\n")).is_empty(),
                "{later} behind {first}"
            );
        }
    }
}
