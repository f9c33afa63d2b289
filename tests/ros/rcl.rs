//! The layer over rcl alone, on a graph of its own: no bridge, no r2r.

use std::time::{Duration, Instant};

use mldash_bridge::ros::rcl::{
    Context, Durability, GuardCondition, Node, Publisher, QosProfile, Ready, Reliability,
    Subscription, TypeSupport, TypeSupportError, WaitSet,
};

use super::support::Domain;

const PATIENCE: Duration = Duration::from_secs(180);
const RELIABLE: QosProfile =
    QosProfile { reliability: Reliability::Reliable, durability: Durability::Volatile, depth: 100 };

fn node(domain: &Domain, name: &str) -> (Context, Node) {
    let context = Context::in_domain(domain.id() as usize).unwrap();
    let node = Node::new(&context, name, "/lab").unwrap();
    (context, node)
}

fn string() -> TypeSupport {
    TypeSupport::load("std_msgs/msg/String").unwrap()
}

/// A `std_msgs/msg/String` of one character.
fn text(character: u8) -> Vec<u8> {
    vec![0, 1, 0, 0, 2, 0, 0, 0, character, 0]
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn messages_come_in_order_with_their_numbers_publisher_and_times() {
    let domain = Domain::take();
    let (context, listener) = node(&domain, "listener");
    let (_, talker) = node(&domain, "talker");
    let mut subscription = Subscription::new(&listener, "/chatter", string(), RELIABLE).unwrap();
    let publisher = Publisher::new(&talker, "/chatter", string(), RELIABLE).unwrap();
    assert_eq!(subscription.topic(), "/chatter");
    until("they match", || {
        publisher.subscription_count().unwrap() == 1 && subscription.publisher_count().unwrap() == 1
    });
    (b'a'..=b'e').for_each(|character| publisher.publish(&text(character)).unwrap());

    let mut set = WaitSet::new(&listener).unwrap();
    let guard = GuardCondition::new(&context).unwrap();
    let (mut ready, mut taken) = (Ready::default(), Vec::new());
    while taken.len() < 5 {
        set.wait([&subscription].into_iter(), &guard, Some(PATIENCE), &mut ready).unwrap();
        while let Some(message) = subscription.take().unwrap() {
            taken.push((message.cdr.to_vec(), message.info));
        }
    }
    let texts: Vec<u8> = taken.iter().map(|(cdr, _)| cdr[8]).collect();
    assert_eq!(texts, b"abcde");
    let numbers: Vec<u64> = taken.iter().map(|(_, info)| info.sequence.unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    for (_, info) in &taken {
        assert_eq!(info.publisher, taken[0].1.publisher);
        assert!(info.source_nanos.unwrap() > 0 && info.received_nanos >= info.source_nanos);
    }
    let known = listener.publishers("/chatter").unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].type_name, "std_msgs/msg/String");
    assert_eq!(known[0].qos.reliability, Reliability::Reliable);
}

#[test]
fn a_wait_ends_by_the_graph_by_a_guard_condition_and_by_its_time() {
    let domain = Domain::take();
    let (context, listener) = node(&domain, "listener");
    let mut set = WaitSet::new(&listener).unwrap();
    let guard = GuardCondition::new(&context).unwrap();
    let mut ready = Ready::default();
    let mut wait = |timeout| {
        set.wait([].into_iter(), &guard, timeout, &mut ready).unwrap();
        ready.clone()
    };
    // The graph knows this node by now, or will say so.
    while wait(Some(Duration::from_millis(200))) != Ready::default() {}
    let setter = guard.clone();
    let thread = std::thread::spawn(move || setter.trigger().unwrap());
    assert!(wait(Some(PATIENCE)).woken);
    thread.join().unwrap();
    let (_, other) = node(&domain, "other");
    let _publisher = Publisher::new(&other, "/new", string(), RELIABLE).unwrap();
    until("the graph has changed", || {
        wait(Some(PATIENCE)).graph && listener.topics().unwrap().contains_key("/new")
    });
    assert_eq!(listener.topics().unwrap()["/new"], ["std_msgs/msg/String"]);
}

#[test]
fn handles_may_be_dropped_in_any_order() {
    let domain = Domain::take();
    for order in 0..6 {
        let (context, node) = node(&domain, "short");
        let guard = GuardCondition::new(&context).unwrap();
        let set = WaitSet::new(&node).unwrap();
        let subscription = Subscription::new(&node, "/a", string(), RELIABLE).unwrap();
        let publisher = Publisher::new(&node, "/a", string(), RELIABLE).unwrap();
        let mut handles: Vec<Box<dyn std::any::Any>> = vec![
            Box::new(context),
            Box::new(node),
            Box::new(guard),
            Box::new(set),
            Box::new(subscription),
            Box::new(publisher),
        ];
        handles.rotate_left(order);
        if order % 2 == 0 {
            handles.reverse();
        }
        handles.into_iter().for_each(drop);
    }
}

#[test]
fn a_publisher_that_offers_less_is_reported() {
    let domain = Domain::take();
    let (_context, listener) = node(&domain, "listener");
    let mut subscription = Subscription::new(&listener, "/imu", string(), RELIABLE).unwrap();
    assert_eq!(subscription.take_incompatible_qos().unwrap(), 0);
    let (_, talker) = node(&domain, "talker");
    let best_effort = QosProfile { reliability: Reliability::BestEffort, ..RELIABLE };
    let _publisher = Publisher::new(&talker, "/imu", string(), best_effort).unwrap();
    until("it is reported", || subscription.take_incompatible_qos().unwrap() == 1);
}

#[test]
fn what_rcl_refuses_is_an_error_with_its_words() {
    let domain = Domain::take();
    let (_context, node) = node(&domain, "node");
    let error = Subscription::new(&node, "/no good", string(), RELIABLE).err().unwrap();
    assert!(error.to_string().starts_with("rcl_subscription_init failed: "), "{error}");
    let error = Subscription::new(&node, "/nul\0", string(), RELIABLE).err().unwrap();
    assert!(error.to_string().contains("NUL"), "{error}");
    let type_error = |name: &str| TypeSupport::load(name).err().unwrap();
    assert_eq!(type_error("nonsense"), TypeSupportError::Name("nonsense".to_owned()));
    assert_eq!(type_error("../x/msg/Y"), TypeSupportError::Name("../x/msg/Y".to_owned()));
    let missing = type_error("no_such_msgs/msg/Thing");
    assert!(matches!(missing, TypeSupportError::NotInstalled { .. }), "{missing}");
    let missing = type_error("std_msgs/msg/NoSuchThing");
    assert!(matches!(missing, TypeSupportError::NoSuchType { .. }), "{missing}");
    // Nothing above has left a trace.
    assert!(Publisher::new(&node, "/good", string(), RELIABLE).is_ok());
}
