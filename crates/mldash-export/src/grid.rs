//! Which ticks of a recording become frames. Pure: it knows when which feature has no value, and what the recipe lets that
//! cost, and nothing else.
//!
//! An episode begins at the first tick for which every feature has a value, and ends at the last. In between, a tick
//! without a value for some feature costs what the recipe says for that feature; if several lack one, the strictest counts:
//! `error`, `end_episode`, `drop`, `hold`. After `drop` a new episode begins at the next whole tick, so that no two frames
//! of an episode are further apart than one step, and frame i is at its first tick + i / fps.

use crate::recipe::Missing;

/// A feature without a value at a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lack {
    /// Its place in the recipe.
    pub(crate) feature: usize,
    /// The last row before the tick, in seconds.
    pub(crate) before: Option<f64>,
}

/// Frames of one episode: ticks one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The first tick.
    pub(crate) first: u64,
    pub(crate) frames: u64,
}

/// What a lack of values came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Ticks before the first whole one.
    Before,
    /// Ticks that were left out between two episodes.
    Dropped,
    /// Ticks that got the last value.
    Held,
    /// Ticks at which the episode ended, although whole ones follow.
    Ended,
    /// Ticks after the last whole one.
    After,
}

/// Ticks in a row that lack a feature's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hole {
    pub(crate) feature: usize,
    pub(crate) cost: Cost,
    /// The time of the first, in seconds.
    pub(crate) first_secs: f64,
    pub(crate) first: u64,
    pub(crate) ticks: u64,
}

/// A tick lacks a value, and that is an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fatal {
    pub(crate) lack: Lack,
    pub(crate) secs: f64,
}

/// Which ticks become frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) segments: Vec<Segment>,
    pub(crate) holes: Vec<Hole>,
    /// How many ticks there are.
    pub(crate) ticks: u64,
    /// Whole ticks that follow the end of an episode, and are left out.
    pub(crate) after_end: u64,
}

/// Decides tick by tick, in order.
#[derive(Debug)]
pub(crate) struct Planner {
    policies: Vec<Missing>,
    plan: Plan,
    state: State,
    /// Holes since the last whole tick, whose cost is not known before the next one.
    open: Vec<(Hole, Missing)>,
    fatal: Option<Fatal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    /// In the last segment.
    Within,
    Ended,
}

impl Planner {
    /// A planner for features with these policies.
    pub(crate) fn new(policies: Vec<Missing>) -> Self {
        let plan = Plan::default();
        Self { policies, plan, state: State::Before, open: Vec::new(), fatal: None }
    }

    /// Takes the next tick, which lacks these features' values. Returns true if it is the first whole one.
    pub(crate) fn tick(&mut self, secs: f64, lacks: &[Lack]) -> Result<bool, Fatal> {
        let tick = self.plan.ticks;
        self.plan.ticks += 1;
        if self.state == State::Ended {
            self.plan.after_end += u64::from(lacks.is_empty());
            return Ok(false);
        }
        if !lacks.is_empty() {
            self.lack(tick, secs, lacks);
            return Ok(false);
        }
        let is_first = self.state == State::Before;
        self.whole(tick)?;
        Ok(is_first && self.state == State::Within)
    }

    /// There are no more ticks.
    pub(crate) fn finish(mut self) -> Plan {
        let cost = if self.state == State::Before { Cost::Before } else { Cost::After };
        self.close(cost);
        self.plan
    }

    fn lack(&mut self, tick: u64, secs: f64, lacks: &[Lack]) {
        let policy = |feature: usize| self.policies.get(feature).copied().unwrap_or_default();
        let strictest =
            lacks.iter().map(|lack| policy(lack.feature)).max_by_key(|p| strictness(*p));
        let strictest = strictest.unwrap_or_default();
        if strictest == Missing::Error && self.fatal.is_none() && self.state != State::Before {
            let fatal = lacks.iter().find(|lack| policy(lack.feature) == Missing::Error);
            self.fatal = fatal.map(|lack| Fatal { lack: *lack, secs });
        }
        for Lack { feature, .. } in lacks {
            let follows = |hole: &Hole| hole.feature == *feature && hole.first + hole.ticks == tick;
            match self.open.iter_mut().find(|(hole, policy)| follows(hole) && *policy == strictest)
            {
                Some((hole, _)) => hole.ticks += 1,
                None => {
                    let (feature, cost) = (*feature, Cost::After);
                    let hole = Hole { feature, cost, first_secs: secs, first: tick, ticks: 1 };
                    self.open.push((hole, strictest));
                }
            }
        }
    }

    fn whole(&mut self, tick: u64) -> Result<(), Fatal> {
        if let Some(fatal) = self.fatal {
            return Err(fatal);
        }
        let strictest = self.open.iter().map(|(_, policy)| *policy).max_by_key(|p| strictness(*p));
        match (self.state, strictest) {
            (State::Before, _) => {
                self.close(Cost::Before);
                self.begin(tick);
            }
            (State::Within, None | Some(Missing::Hold)) => {
                self.close(Cost::Held);
                if let Some(segment) = self.plan.segments.last_mut() {
                    segment.frames = tick - segment.first + 1;
                }
            }
            (State::Within, Some(Missing::EndEpisode)) => {
                self.close(Cost::Ended);
                self.plan.after_end += 1;
                self.state = State::Ended;
            }
            (State::Within, _) => {
                self.close(Cost::Dropped);
                self.begin(tick);
            }
            (State::Ended, _) => {}
        }
        Ok(())
    }

    fn begin(&mut self, tick: u64) {
        self.plan.segments.push(Segment { first: tick, frames: 1 });
        self.state = State::Within;
    }

    fn close(&mut self, cost: Cost) {
        let holes = self.open.drain(..).map(|(hole, _)| Hole { cost, ..hole });
        self.plan.holes.extend(holes);
    }
}

fn strictness(policy: Missing) -> u8 {
    match policy {
        Missing::Hold => 0,
        Missing::Drop => 1,
        Missing::EndEpisode => 2,
        Missing::Error => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `.` is a whole tick, `a` lacks feature 0, `b` feature 1, `*` both.
    fn plan(policies: [Missing; 2], ticks: &str) -> Result<Plan, Fatal> {
        let mut planner = Planner::new(policies.to_vec());
        for (i, tick) in ticks.chars().enumerate() {
            let lacking = match tick {
                'a' => vec![0],
                'b' => vec![1],
                '*' => vec![0, 1],
                _ => vec![],
            };
            let lacks: Vec<Lack> =
                lacking.into_iter().map(|feature| Lack { feature, before: None }).collect();
            planner.tick(i as f64, &lacks)?;
        }
        Ok(planner.finish())
    }

    fn segments(plan: &Plan) -> Vec<(u64, u64)> {
        plan.segments.iter().map(|s| (s.first, s.frames)).collect()
    }

    fn holes(plan: &Plan) -> Vec<(usize, Cost, u64, u64)> {
        plan.holes.iter().map(|h| (h.feature, h.cost, h.first, h.ticks)).collect()
    }

    #[test]
    fn an_episode_begins_and_ends_with_a_whole_tick_whatever_the_policy() {
        for policy in [Missing::Error, Missing::Drop, Missing::Hold, Missing::EndEpisode] {
            let plan = plan([policy; 2], "ab...bb").unwrap();
            assert_eq!(segments(&plan), [(2, 3)]);
            let before = [(0, Cost::Before, 0, 1), (1, Cost::Before, 1, 1)];
            assert_eq!(holes(&plan), [before[0], before[1], (1, Cost::After, 5, 2)]);
        }
    }

    #[test]
    fn after_a_dropped_tick_a_new_episode_begins() {
        let plan = plan([Missing::Drop; 2], "..aa*.b..").unwrap();
        assert_eq!(segments(&plan), [(0, 2), (5, 1), (7, 2)]);
        let found = [(0, Cost::Dropped, 2, 3), (1, Cost::Dropped, 4, 1), (1, Cost::Dropped, 6, 1)];
        assert_eq!(holes(&plan), found);
    }

    #[test]
    fn held_ticks_stay_in_their_episode() {
        let plan = plan([Missing::Hold; 2], "..a.b..").unwrap();
        assert_eq!(segments(&plan), [(0, 7)]);
        assert_eq!(holes(&plan), [(0, Cost::Held, 2, 1), (1, Cost::Held, 4, 1)]);
    }

    #[test]
    fn an_episode_that_ends_leaves_the_rest_out_and_says_how_much() {
        let plan = plan([Missing::EndEpisode, Missing::Drop], "..a.b...").unwrap();
        assert_eq!((segments(&plan), plan.after_end), (vec![(0, 2)], 4));
        assert_eq!(holes(&plan), [(0, Cost::Ended, 2, 1)]);
    }

    #[test]
    fn no_episode_begins_after_what_was_dropped_before_an_end() {
        let plan = plan([Missing::EndEpisode, Missing::Drop], "..ba..").unwrap();
        assert_eq!(segments(&plan), [(0, 2)]);
        assert_eq!(holes(&plan), [(1, Cost::Ended, 2, 1), (0, Cost::Ended, 3, 1)]);
    }

    #[test]
    fn an_error_names_the_first_tick_and_only_between_whole_ones() {
        let fatal = plan([Missing::Drop, Missing::Error], "b.a.*b.").unwrap_err();
        assert_eq!((fatal.lack.feature, fatal.secs), (1, 4.0));
        assert!(plan([Missing::Error; 2], "a..b").is_ok());
    }

    #[test]
    fn the_strictest_policy_counts() {
        let plan = plan([Missing::Hold, Missing::Drop], "..a*..").unwrap();
        assert_eq!(segments(&plan), [(0, 2), (4, 2)]);
        assert!(plan.holes.iter().all(|hole| hole.cost == Cost::Dropped));
    }

    proptest! {
        #[test]
        fn every_tick_is_a_frame_or_accounted_for(ticks in "[.ab*]{0,40}", a in 0..3, b in 0..3) {
            let policy = |n| [Missing::Drop, Missing::Hold, Missing::EndEpisode][n as usize];
            let plan = plan([policy(a), policy(b)], &ticks).unwrap();
            let mut state = vec![0; ticks.len()];
            for segment in &plan.segments {
                for tick in segment.first..segment.first + segment.frames {
                    state[tick as usize] += 1;
                }
            }
            for (tick, kind) in ticks.chars().enumerate() {
                let mut holes = plan.holes.iter().filter(|h| (h.first..h.first + h.ticks).contains(&(tick as u64)));
                match kind {
                    // A frame at most once; else it follows an end.
                    '.' => prop_assert!(state[tick] == 1 || (plan.after_end > 0 && state[tick] == 0)),
                    _ if state[tick] == 1 => prop_assert!(holes.all(|h| h.cost == Cost::Held)),
                    _ => {
                        let lacking = if kind == '*' { 2 } else { 1 };
                        prop_assert!(plan.after_end > 0 || holes.count() == lacking);
                    }
                }
            }
            prop_assert_eq!(plan.ticks as usize, ticks.len());
        }
    }
}
