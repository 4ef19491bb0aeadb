"""A process that publishes as a device does and prints what is told, to be killed: with its settings as JSON."""

import json
import sys
import threading

from device.publishing.mqtt import MqttPublisher
from device.settings import MqttSettings

if __name__ == "__main__":
    MqttPublisher(MqttSettings(**json.loads(sys.argv[1])), lambda line: print(line, flush=True)).open()
    threading.Event().wait()
