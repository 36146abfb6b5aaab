"""Cases of test_invalid_calls.py for calls of QNetwork, as in invalid_calls.py."""

import numpy as np
from support.api_objects import STRAY_BIT, N, ints, words

from herfast import Config, QNetwork

SHORT_BIAS = {"online.output.bias": np.zeros(8, np.float32)}

NETWORK_CASES = {
    "QNetwork": (
        lambda api, v: QNetwork(N, **v),
        ("threads", ValueError, "^threads must be from 1 to 1,024, got 1,025$", {"threads": 1025}),
        ("threads float", TypeError, "^threads must be an integer from 1 .*, got 2.0$", {"threads": 2.0}),
        ("config dict", TypeError, "^config must be a Config, got {'k': 1}$", {"config": {"k": 1}}),
        ("config str", TypeError, "^config must be a Config, got 'fast'$", {"config": "fast"}),
        (
            "config class",
            TypeError,
            "^config must be a Config, got <class 'herfast.config.Config'>$",
            {"config": Config},
        ),
    ),
    "QNetwork.act": (
        lambda api, v: api.network.act(**{"states": words(2, 1), "goals": words(2, 1)} | v),
        ("list", TypeError, "^states must be .* uint64, got list$", {"states": [[0]]}),
        ("dtype", TypeError, "^goals must be .* uint64, got dtype int64$", {"goals": ints(2, 1)}),
        ("axes", ValueError, r"^states must have 2 axes, got shape \(2,\)$", {"states": words(2)}),
        (
            "width",
            ValueError,
            r"^goals must have 1 words per row for 9 bits, got \(2, 2\)$",
            {"goals": words(2, 2)},
        ),
        (
            "unequal",
            ValueError,
            "^states and goals must have the same length, got 3 and 2$",
            {"states": words(3, 1)},
        ),
        (
            "dirty",
            ValueError,
            "^states must .* past bit 8, got the word 0x200$",
            {"states": words(2, 1) + STRAY_BIT},
        ),
    ),
    "QNetwork.q_values": (
        lambda api, v: api.network.q_values(*v),
        (
            "dirty",
            ValueError,
            "^goals must .* past bit 8, got the word 0x200$",
            (words(1, 1), words(1, 1) + STRAY_BIT),
        ),
    ),
    "QNetwork.state_dict": (
        lambda api, v: api.network.state_dict(v),
        ("int", TypeError, "^learning must be True or False, got 1$", 1),
    ),
    "QNetwork.load_state_dict": (
        lambda api, v: api.network.load_state_dict(
            {} if v is None else api.network.state_dict() | v if v else v
        ),
        ("list", TypeError, r"^state must be a dict, got \[\]$", []),
        ("unknown", ValueError, "^'x' is unknown$", {"x": np.zeros(3)}),
        ("missing", ValueError, "^online.hidden1.bias is missing$", None),
        (
            "float",
            TypeError,
            "^target.output.bias must be .* float32, got float$",
            {"target.output.bias": 1.0},
        ),
        (
            "shape",
            ValueError,
            r"^online.output.bias should be float32 \(9,\), is float32 \(8,\)$",
            SHORT_BIAS,
        ),
        (
            "NaN",
            ValueError,
            "^online.output.bias is not finite$",
            {"online.output.bias": np.full(9, np.nan, "f4")},
        ),
        (
            "moment",
            ValueError,
            "^moment2.output.bias has a negative number, -1$",
            {"moment2.output.bias": -np.ones(9, "f4")},
        ),
    ),
    "QNetwork.fit": (
        lambda api, v: api.network.fit(api.batches._replace(**v) if isinstance(v, dict) else v),
        ("None", TypeError, "^batches must be Minibatches, got NoneType$", None),
        ("tuple", TypeError, "^batches must be Minibatches, got tuple$", (1, 2)),
        ("action", ValueError, "^actions must be below 9, got 9$", {"actions": np.full((2, 4), 9, "u2")}),
        ("actions dtype", TypeError, "^actions must be .* uint16, got dtype int64$", {"actions": ints(2, 4)}),
        (
            "rewards",
            TypeError,
            "^rewards must be .* float32, got dtype float64$",
            {"rewards": np.zeros((2, 4))},
        ),
        (
            "terminated",
            TypeError,
            "^terminated must be .* bool, got dtype int64$",
            {"terminated": ints(2, 4)},
        ),
        (
            "steps",
            ValueError,
            r"^steps_to_goal must .* got \(4, 2\)$",
            {"steps_to_goal": ints(4, 2, of="i4")},
        ),
        ("goals shape", ValueError, r"^goals must .* \(2, 4\), got \(2, 3, 1\)$", {"goals": words(2, 3, 1)}),
        ("dirty", ValueError, "^states must .* past bit 8", {"states": words(2, 4, 1) + STRAY_BIT}),
        (
            "empty",
            ValueError,
            r"at least one transition each, got shape \(0, 4\)$",
            {"states": words(0, 4, 1)},
        ),
    ),
}
