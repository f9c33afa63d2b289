//! What a person at the keyboard asks of a recording. The recording does it as it does what services
//! ask for.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// What is asked for, by the name of the service that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `~/pause`, or `~/resume` while it is paused.
    PauseOrResume,
    /// `~/split`.
    Split,
    /// `~/discard`.
    Discard,
    /// `~/save`.
    Save,
}

/// Passes orders to a recording. Clones share it.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<Option<Take>>>);

/// Takes an order; returns false if the recording is over.
type Take = Box<dyn Fn(Order) -> bool + Send>;

impl Orders {
    /// Gives an order. Returns false if nothing is being recorded that could follow it.
    pub fn give(&self, order: Order) -> bool {
        self.0.lock().as_ref().is_some_and(|take| take(order))
    }

    /// Passes orders to `take` from now on.
    pub fn connect(&self, take: impl Fn(Order) -> bool + Send + 'static) {
        *self.0.lock() = Some(Box::new(take));
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("is_connected", &self.0.lock().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_reach_the_recording_once_it_runs() {
        let orders = Orders::default();
        assert!(!orders.give(Order::Split), "nothing runs yet");
        let taken: Arc<Mutex<Vec<Order>>> = Arc::default();
        let to = taken.clone();
        orders.clone().connect(move |order| {
            to.lock().push(order);
            true
        });
        assert!(orders.give(Order::Discard) && orders.give(Order::PauseOrResume));
        assert_eq!(*taken.lock(), [Order::Discard, Order::PauseOrResume]);
    }
}
