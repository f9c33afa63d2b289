"""Somebody on the graph beside the bridge: does what it is told by JSON lines on stdin, one answer a line on stdout.

{"call": "pause"}                              calls /mldash_bridge/pause
{"publish": "pose", "start": 0, "end": 20, "rate": 0}   PoseStamped; their numbers are their x and their stamp's 1/50 s
{"latch": "robot_description", "text": "…"}    a String kept for late subscribers
{"offer": "a", "topic": "/t", "type": "std_msgs/msg/String", "qos": "reliable", "depth": 10}   a publisher called "a" on a
                                               node of its own; qos: reliable, best_effort or latched
{"send": "a", "data": ["x"], "unheard": true, "unacknowledged": true}   publishes by it; unless unheard, only once
                                               somebody listens; unless unacknowledged, it waits until they have it
{"send": "a", "joints": [[5, "elbow"]]}        the same with JointStates, of a stamp in seconds and of one joint each
{"withdraw": "a"}                              it leaves the graph
{"listen": "/t", "type": "std_msgs/msg/String"}   subscribes
{"tick": 12}                                   simulated time in seconds, on /clock
{"serve": "/light", "introspection": false}    a SetBool service and a client of it, which publish service events unless told not to
{"request": "/light", "data": true}            calls it, once somebody listens to its events
{"act": "/reach", "type": "arm_msgs/action/Reach"}   an action server that goes to a target in steps of 1, and a client
{"reach": "/reach", "target": 3.0}             sends it a goal and waits for the result
{"act_openly": "/open", "type": "arm_msgs/action/Reach"}   the goal and result services of an action, which publish their events
{"reach_openly": "/open", "target": 2.5}       calls both
{"diagnostic": "mldash_bridge: queue", "level": "ok", "with": "type"}   waits for it on /diagnostics, with this value in it
{"rosout": "text"}                             waits for a line that has it
{"list": true}, {"get": ["config"]}, {"set": {"config": "x"}}, {"describe": ["config"]}   the bridge's parameters
{"ask_in_vain": true}                          asks for one such that the answer can't come, until the bridge's log says so
"""

import importlib
import json
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Log, Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.action import ActionClient, ActionServer
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.service_introspection import ServiceIntrospectionState
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

# Less than the tests' own, so that what did not come is said.
PATIENCE_SECS = 150
START = 1_700_000_000
LEVELS = {"ok": b"\x00", "warn": b"\x01", "error": b"\x02", "stale": b"\x03"}
# Deeper than any test publishes in one go: what a reader has not acknowledged yet is not overwritten.
RELIABLE = QoSProfile(depth=10_000, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Operator:
    def __init__(self):
        self.node = rclpy.create_node("operator", enable_rosout=False)
        self.publishers = {}
        self.offered = {}
        self.services = {}
        self.actions = {}
        self.diagnostics = {}
        self.rosout = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 100)
        self.node.create_subscription(Log, "/rosout", self.rosout.append, LATCHED)

    def on_diagnostics(self, message):
        for status in message.status:
            self.diagnostics[status.name] = status

    def wait_for(self, what, found):
        deadline = time.monotonic() + PATIENCE_SECS
        while time.monotonic() < deadline:
            if (result := found()) is not None:
                return result
            rclpy.spin_once(self.node, timeout_sec=0.1)
        raise TimeoutError(f"{what} did not come; diagnostics: {self.diagnostics}, rosout: {self.rosout}")

    def service(self, service_type, name, request):
        client = self.node.create_client(service_type, f"/mldash_bridge/{name}")
        self.wait_for(name, lambda: client.service_is_ready() or None)
        done = client.call_async(request)
        self.wait_for(name, lambda: done.done() or None)
        return done.result()

    def call(self, order):
        answer = self.service(Trigger, order["call"], Trigger.Request())
        return {"success": answer.success, "message": answer.message}

    def publisher(self, message_type, topic, qos):
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(message_type, topic, qos)
        publisher = self.publishers[topic]
        self.wait_for(f"a subscriber of {topic}", lambda: publisher.get_subscription_count() or None)
        return publisher

    def publish(self, order):
        publisher = self.publisher(PoseStamped, order["publish"], RELIABLE)
        for i in range(order["start"], order["end"]):
            message = PoseStamped()
            message.header.stamp.sec = START + i // 50
            message.header.stamp.nanosec = i % 50 * 20_000_000
            message.pose.position.x = float(i)
            publisher.publish(message)
            if order["rate"]:
                time.sleep(1 / order["rate"])
        self.wait_until_delivered(publisher)
        return {}

    def wait_until_delivered(self, publisher):
        if not publisher.wait_for_all_acked(Duration(seconds=PATIENCE_SECS)):
            raise TimeoutError(f"not all messages of {publisher.topic_name} were taken in {PATIENCE_SECS} s")

    def latch(self, order):
        self.publisher(String, order["latch"], LATCHED).publish(String(data=order["text"]))
        return {}

    def offer(self, order):
        qos = QoSProfile(
            depth=order.get("depth", 1000),
            reliability=ReliabilityPolicy.BEST_EFFORT if order["qos"] == "best_effort" else ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if order["qos"] == "latched" else DurabilityPolicy.VOLATILE,
        )
        node = rclpy.create_node(order["offer"], enable_rosout=False, start_parameter_services=False)
        publisher = node.create_publisher(interface(order["type"]), order["topic"], qos)
        self.offered[order["offer"]] = (node, publisher)
        return {}

    def send(self, order):
        _, publisher = self.offered[order["send"]]
        if not order.get("unheard"):
            self.wait_for("a subscriber", lambda: publisher.get_subscription_count() or None)
        for data in order.get("data", []):
            publisher.publish(publisher.msg_type(data=data))
        for sec, name in order.get("joints", []):
            message = publisher.msg_type(name=[name], position=[1.0])
            message.header.stamp.sec = sec
            publisher.publish(message)
        if not order.get("unacknowledged"):
            self.wait_until_delivered(publisher)
        return {}

    def withdraw(self, order):
        node, publisher = self.offered.pop(order["withdraw"])
        node.destroy_publisher(publisher)
        node.destroy_node()
        return {}

    def listen(self, order):
        self.node.create_subscription(interface(order["type"]), order["listen"], lambda _: None, 10)
        return {}

    def tick(self, order):
        clock = Clock()
        clock.clock.sec = order["tick"]
        publisher = self.publisher(Clock, "/clock", RELIABLE)
        # Whoever listens does so with best effort.
        for _ in range(20):
            publisher.publish(clock)
            time.sleep(0.01)
        return {}

    def serve(self, order):
        def light(_, response):
            response.success = True
            return response

        server = self.node.create_service(SetBool, order["serve"], light)
        client = self.node.create_client(SetBool, order["serve"])
        for end in (server, client) if order.get("introspection", True) else ():
            end.configure_introspection(self.node.get_clock(), RELIABLE, ServiceIntrospectionState.CONTENTS)
        self.services[order["serve"]] = (server, client)
        return {}

    def request(self, order):
        _, client = self.services[order["request"]]
        self.wait_for_subscriber(f"{order['request']}/_service_event")
        self.wait_for("the service", lambda: client.service_is_ready() or None)
        done = client.call_async(SetBool.Request(data=order["data"]))
        self.wait_for("the response", lambda: done.done() or None)
        return {"success": done.result().success}

    def act(self, order):
        action_type = interface(order["type"])

        def reach(goal):
            distance = goal.request.target
            while distance > 0:
                distance -= 1
                goal.publish_feedback(action_type.Feedback(distance=distance))
            goal.succeed()
            return action_type.Result(reached=True)

        server = ActionServer(self.node, action_type, order["act"], reach)
        client = ActionClient(self.node, action_type, order["act"])
        self.actions[order["act"]] = (action_type, server, client)
        return {}

    def reach(self, order):
        action_type, _, client = self.actions[order["reach"]]
        self.wait_for_subscriber(f"{order['reach']}/_action/feedback")
        self.wait_for("the action", lambda: client.server_is_ready() or None)
        accepted = client.send_goal_async(action_type.Goal(target=order["target"]))
        self.wait_for("the goal's acceptance", lambda: accepted.done() or None)
        done = accepted.result().get_result_async()
        self.wait_for("the result", lambda: done.done() or None)
        return {"reached": done.result().result.reached}

    def act_openly(self, order):
        parts = interface(order["type"]).Impl

        def accept(_, response):
            response.accepted = True
            return response

        def result(_, response):
            response.status = 4
            response.result.reached = True
            return response

        name = order["act_openly"]
        ends = []
        for service_type, service, answer in (
            (parts.SendGoalService, f"{name}/_action/send_goal", accept),
            (parts.GetResultService, f"{name}/_action/get_result", result),
        ):
            server = self.node.create_service(service_type, service, answer)
            server.configure_introspection(self.node.get_clock(), RELIABLE, ServiceIntrospectionState.CONTENTS)
            ends.append((service_type, server, self.node.create_client(service_type, service)))
        self.actions[name] = ends
        return {}

    def reach_openly(self, order):
        name = order["reach_openly"]
        answers = []
        for service_type, _, client in self.actions[name]:
            self.wait_for_subscriber(f"{client.srv_name}/_service_event")
            self.wait_for("the service", lambda client=client: client.service_is_ready() or None)
            request = service_type.Request()
            if hasattr(request, "goal"):
                request.goal.target = order["target"]
            done = client.call_async(request)
            self.wait_for("the response", lambda done=done: done.done() or None)
            answers.append(done.result())
        return {"accepted": answers[0].accepted, "reached": answers[1].result.reached}

    def wait_for_subscriber(self, topic):
        # The client of an action listens to its feedback, too.
        def found():
            subscribers = self.node.get_subscriptions_info_by_topic(topic)
            return next((info for info in subscribers if info.node_name != "operator"), None)

        self.wait_for(f"a subscriber of {topic}", found)

    def diagnostic(self, order):
        def found():
            status = self.diagnostics.get(order["diagnostic"])
            if not status or status.level != LEVELS[order["level"]]:
                return None
            values = {value.key: value.value for value in status.values}
            return (status, values) if order.get("with", "") in ("", *values) else None

        status, values = self.wait_for(order, found)
        return {"message": status.message, "hardware_id": status.hardware_id, "values": values}

    def rosout_line(self, order):
        def found():
            return next((log for log in self.rosout if order["rosout"] in log.msg), None)

        log = self.wait_for(order, found)
        return {"name": log.name, "level": log.level, "msg": log.msg, "file": log.file, "sec": log.stamp.sec}

    def list_parameters(self, _):
        answer = self.service(ListParameters, "list_parameters", ListParameters.Request())
        return {"names": sorted(answer.result.names)}

    def get_parameters(self, order):
        answer = self.service(GetParameters, "get_parameters", GetParameters.Request(names=order["get"]))
        shown = {1: lambda v: v.bool_value, 9: lambda v: list(v.string_array_value)}
        return {"values": [shown.get(v.type, lambda v: v.string_value)(v) for v in answer.values]}

    def describe_parameters(self, order):
        answer = self.service(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=order["describe"]))
        types = [[d.type, d.read_only] for d in answer.descriptors]
        return {"types_and_read_only": types, "descriptions": [d.description for d in answer.descriptors]}

    def ask_in_vain(self, _):
        kept = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        client = self.node.create_client(GetParameters, "/mldash_bridge/get_parameters", qos_profile=kept)

        def found():
            client.call_async(GetParameters.Request(names=["task"]))
            return next((log for log in self.rosout if "can't get its answer" in log.msg), None)

        self.wait_for("the log of it", found)
        self.node.destroy_client(client)
        return {}

    def set_parameters(self, order):
        def parameter(name, value):
            kind = {"type": 1, "bool_value": value} if isinstance(value, bool) else {"type": 4, "string_value": value}
            return Parameter(name=name, value=ParameterValue(**kind))

        parameters = [parameter(name, value) for name, value in order["set"].items()]
        answer = self.service(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters))
        return {"successful": answer.results[0].successful, "reason": answer.results[0].reason}

    def do(self, order):
        orders = {
            "call": self.call,
            "publish": self.publish,
            "latch": self.latch,
            "offer": self.offer,
            "send": self.send,
            "withdraw": self.withdraw,
            "listen": self.listen,
            "tick": self.tick,
            "serve": self.serve,
            "request": self.request,
            "act": self.act,
            "reach": self.reach,
            "act_openly": self.act_openly,
            "reach_openly": self.reach_openly,
            "diagnostic": self.diagnostic,
            "rosout": self.rosout_line,
            "list": self.list_parameters,
            "get": self.get_parameters,
            "set": self.set_parameters,
            "describe": self.describe_parameters,
            "ask_in_vain": self.ask_in_vain,
        }
        return next(act for name, act in orders.items() if name in order)(order)


def interface(type_name):
    package, kind, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def main():
    rclpy.init(args=[])
    operator = Operator()
    for line in sys.stdin:
        try:
            answer = operator.do(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the test shows it
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


main()
