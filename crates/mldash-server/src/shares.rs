//! What namespaces share: requests, downloads, and bytes of memory. Each gets a fair share, so that
//! one namespace can't turn another away.
//!
//! A namespace may hold as much as is still free: alone it gets half, and there is always something
//! left for the next one. If the token file names only one namespace, it gets everything.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::token::Namespace;

/// A number of things of one kind.
#[derive(Debug)]
pub(super) struct Shares {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    by_namespace: HashMap<Namespace, usize>,
}

/// What one request holds. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Share {
    of: Arc<Shares>,
    namespace: Namespace,
    /// There is no other namespace to share with.
    is_alone: bool,
    amount: usize,
}

/// Why there is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Others hold it, or other requests of this namespace.
    Now,
    /// There is not so much for one request, ever.
    Always,
}

impl Shares {
    /// So many things.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default() })
    }

    /// The most that one request can get.
    pub(super) fn most(&self, is_alone: bool) -> usize {
        if is_alone { self.capacity } else { self.capacity.div_ceil(2) }
    }
}

impl Share {
    /// Nothing yet.
    pub(super) fn nothing(of: &Arc<Shares>, namespace: &Namespace, is_alone: bool) -> Self {
        Self { of: of.clone(), namespace: namespace.clone(), is_alone, amount: 0 }
    }

    /// How much it is.
    pub(super) fn amount(&self) -> usize {
        self.amount
    }

    /// The most that it can be.
    pub(super) fn most(&self) -> usize {
        self.of.most(self.is_alone)
    }

    /// Adds `more`.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Refused> {
        if more == 0 {
            return Ok(());
        }
        if more > self.most().saturating_sub(self.amount) {
            return Err(Refused::Always);
        }
        let mut state = self.of.state.lock();
        let own = state.by_namespace.get(&self.namespace).copied().unwrap_or_default();
        let free = self.of.capacity.saturating_sub(state.used);
        let is_fair = match self.is_alone {
            true => more <= free,
            // What it holds must not exceed what is free afterwards, but one thing it may have.
            false => more <= free && (own + more).saturating_sub(1) <= free - more,
        };
        if !is_fair {
            return Err(Refused::Now);
        }
        state.used += more;
        state.by_namespace.insert(self.namespace.clone(), own + more);
        self.amount += more;
        Ok(())
    }

    /// Gives all but `amount` back.
    pub(super) fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        if less == 0 {
            return;
        }
        let mut state = self.of.state.lock();
        state.used -= less;
        if let Some(own) = state.by_namespace.get_mut(&self.namespace) {
            *own -= less;
            if *own == 0 {
                state.by_namespace.remove(&self.namespace);
            }
        }
        self.amount -= less;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str) -> Namespace {
        Namespace::new(name)
    }

    fn take(of: &Arc<Shares>, name: &str, amount: usize) -> Result<Share, Refused> {
        let mut share = Share::nothing(of, &named(name), false);
        share.grow(amount).map(|()| share)
    }

    #[test]
    fn a_greedy_namespace_gets_half_and_the_next_ones_a_part_of_the_rest() {
        let shares = Shares::new(96);
        let count = |name| {
            let mut held = Vec::new();
            while let Ok(share) = take(&shares, name, 1) {
                held.push(share);
            }
            held
        };
        let alice = count("alice");
        let bob = count("bob");
        let carol = count("carol");
        assert_eq!((alice.len(), bob.len(), carol.len()), (48, 24, 12));
        drop((alice, bob));
        assert_eq!(count("carol").len(), 36, "with what she has, half");
    }

    #[test]
    fn of_one_thing_everybody_can_have_it() {
        let shares = Shares::new(1);
        let held = take(&shares, "alice", 1).unwrap();
        assert_eq!(take(&shares, "bob", 1).unwrap_err(), Refused::Now);
        drop(held);
        take(&shares, "bob", 1).unwrap();
    }

    #[test]
    fn a_namespace_without_others_gets_everything() {
        let shares = Shares::new(96);
        let mut share = Share::nothing(&shares, &named("alice"), true);
        share.grow(96).unwrap();
        assert_eq!(share.grow(1), Err(Refused::Always));
    }

    #[test]
    fn what_can_never_fit_is_told_apart_from_what_does_not_fit_now() {
        let shares = Shares::new(100);
        let _held = take(&shares, "alice", 40).unwrap();
        assert_eq!(take(&shares, "alice", 40).unwrap_err(), Refused::Now);
        assert_eq!(take(&shares, "alice", 51).unwrap_err(), Refused::Always);
        take(&shares, "bob", 30).unwrap();
    }

    proptest! {
        #[test]
        fn never_more_is_held_than_there_is_and_in_the_end_nothing(
            steps in prop::collection::vec((0..4_usize, 0..60_usize, any::<bool>()), 0..60),
        ) {
            let shares = Shares::new(100);
            let mut held: Vec<Share> = Vec::new();
            for (who, amount, is_given_back) in steps {
                if is_given_back && !held.is_empty() {
                    held.swap_remove(who % held.len());
                } else {
                    held.extend(take(&shares, ["a", "b", "c", "d"][who], amount).ok());
                }
                let sum: usize = held.iter().map(Share::amount).sum();
                let used = shares.state.lock().used;
                prop_assert!(sum == used && used <= 100);
            }
            drop(held);
            let state = shares.state.lock();
            prop_assert!(state.used == 0 && state.by_namespace.is_empty());
        }
    }
}
