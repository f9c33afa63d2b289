"""Loads a dataset by LeRobot's own loader: all frames, alone and as a policy asks for them, with statistics."""

import pathlib
import sys

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main():
    root = pathlib.Path(sys.argv[1])
    name = f"local/{root.name}"
    dataset = LeRobotDataset(name, root=root)
    print(f"{dataset.num_episodes} episodes, {dataset.num_frames} frames at {dataset.fps} Hz; {len(dataset.meta.tasks)} tasks")
    for key, feature in dataset.features.items():
        print(f"  {key}: {feature['dtype']} {tuple(feature['shape'])} {feature['names']}")
    index = 0
    for episode in dataset.meta.episodes:
        assert episode["dataset_from_index"] == index and episode["length"] > 0, episode
        for frame in range(episode["length"]):
            item = dataset[index]
            assert item["index"].item() == index and item["frame_index"].item() == frame, item["index"]
            assert item["episode_index"].item() == episode["episode_index"]
            # What the loader demands of every frame.
            assert abs(item["timestamp"].item() - frame / dataset.fps) <= 1e-4, item["timestamp"]
            assert item["task"] in episode["tasks"]
            for key, feature in dataset.features.items():
                if feature["dtype"] in ("image", "video"):
                    height, width, channels = feature["shape"]
                    assert item[key].shape == (channels, height, width), (key, item[key].shape)
            index += 1
    assert index == len(dataset), (index, len(dataset))
    for key, stats in dataset.meta.stats.items():
        for stat in ("min", "max", "mean", "std", "count", "q01", "q99"):
            assert torch.isfinite(torch.as_tensor(stats[stat], dtype=torch.float64)).all(), (key, stat)
    # As a policy asks: the frame before, this one and the next.
    step = 1 / dataset.fps
    asked = [key for key in dataset.features if key == "action" or key.startswith("observation.")]
    windowed = LeRobotDataset(name, root=root, delta_timestamps={key: [-step, 0.0, step] for key in asked})
    for i in range(0, len(windowed), max(1, len(windowed) // 50)):
        item = windowed[i]
        assert all(item[key].shape[0] == 3 for key in asked)
    batch = next(iter(torch.utils.data.DataLoader(windowed, batch_size=4, shuffle=True)))
    print("a batch:", {key: tuple(batch[key].shape) for key in asked})
    print("every frame loads")


main()
