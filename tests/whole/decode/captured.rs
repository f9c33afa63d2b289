//! Messages as ROS 2 Jazzy's rmw_fastrtps writes them: the output of rclpy's
//! `serialize_message`, with what its memory held where there is padding, and their definitions
//! without comments and constants. `cdr_probe` is a package made for the purpose.

/// A message and what is needed to decode it.
pub struct Captured {
    pub ty: &'static str,
    pub definition: &'static str,
    pub hex: &'static str,
}

impl Captured {
    pub fn bytes(&self) -> Vec<u8> {
        let digits: Vec<u8> = self.hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }
}

pub const POSE: Captured = Captured {
    ty: "geometry_msgs/PoseStamped",
    definition: "\
        std_msgs/Header header\n\
        Pose pose\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: geometry_msgs/Pose\n\
        Point position\n\
        Quaternion orientation\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec\n\
        ===\n\
        MSG: geometry_msgs/Point\n\
        float64 x\n\
        float64 y\n\
        float64 z\n\
        ===\n\
        MSG: geometry_msgs/Quaternion\n\
        float64 x\n\
        float64 y\n\
        float64 z\n\
        float64 w",
    hex: "\
        000100000c00000040489014040000006d617000000000000000f03f00000000000000c000000000 \
        0000e03f00000000000000000000000000000000333333333333e33f9a9999999999e93f",
};

pub const JOINTS: Captured = Captured {
    ty: "sensor_msgs/JointState",
    definition: "\
        std_msgs/Header header\n\
        string[] name\n\
        float64[] position\n\
        float64[] velocity\n\
        float64[] effort\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c000000404890140200000062004501020000000400000068697000070000006b6e6565 \
        5f6c0001020000004501f0009a9999999999b93f9a9999999999c9bf000000000100000000000000 \
        00000840f100100139f40010",
};

pub const CAMERA: Captured = Captured {
    ty: "sensor_msgs/CameraInfo",
    definition: "\
        std_msgs/Header header\n\
        uint32 height\n\
        uint32 width\n\
        string distortion_model\n\
        float64[] d\n\
        float64[9] k\n\
        float64[9] r\n\
        float64[12] p\n\
        uint32 binning_x\n\
        uint32 binning_y\n\
        RegionOfInterest roi\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: sensor_msgs/RegionOfInterest\n\
        uint32 x_offset\n\
        uint32 y_offset\n\
        uint32 height\n\
        uint32 width\n\
        bool do_rectify\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c000000404890140400000063616d00e0010000800200000a000000706c756d625f626f \
        62004b65020000003092de629a9999999999b93f9a9999999999c93f000000000000000000000000 \
        0000f03f000000000000004000000000000008400000000000001040000000000000144000000000 \
        000018400000000000001c4000000000000020400000000000000000000000000000000000000000 \
        00000000000000000000000000000000000000000000000000000000000000000000000000000000 \
        00000000000000000000000000000000000000000000000000000000000000000000000000000000 \
        00000000000000000000000000000000000000000000000000000000000000000000000000000000 \
        00000000000000000000000000000000000000000000000000000000000000000000000001000000 \
        00000000000000000000000001",
};

pub const TF: Captured = Captured {
    ty: "tf2_msgs/TFMessage",
    definition: "\
        geometry_msgs/TransformStamped[] transforms\n\
        ===\n\
        MSG: geometry_msgs/TransformStamped\n\
        std_msgs/Header header\n\
        string child_frame_id\n\
        Transform transform\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: geometry_msgs/Transform\n\
        Vector3 translation\n\
        Quaternion rotation\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec\n\
        ===\n\
        MSG: geometry_msgs/Vector3\n\
        float64 x\n\
        float64 y\n\
        float64 z\n\
        ===\n\
        MSG: geometry_msgs/Quaternion\n\
        float64 x\n\
        float64 y\n\
        float64 z\n\
        float64 w",
    hex: "\
        00010000020000000c00000040489014050000006f646f6d00483f62050000006261736500000000 \
        00000000000000000000f03f00000000000000400000000000000840000000000000000000000000 \
        000000000000000000000000000000000000f03f0c000000404890140200000061003b6206000000 \
        6c6964617200000070063b6200000000000000000000000000000000000000000000000000000000 \
        0000000000000000000000000000000000000000000000000000f03f",
};

pub const SCAN: Captured = Captured {
    ty: "sensor_msgs/LaserScan",
    definition: "\
        std_msgs/Header header\n\
        float32 angle_min\n\
        float32 angle_max\n\
        float32 angle_increment\n\
        float32 time_increment\n\
        float32 scan_time\n\
        float32 range_min\n\
        float32 range_max\n\
        float32[] ranges\n\
        float32[] intensities\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c00000040489014020000006c0000000000000000000000000000000000000000000000 \
        000000000000b040030000000000803f0000807f0000204000000000",
};

pub const CLOUD: Captured = Captured {
    ty: "sensor_msgs/PointCloud2",
    definition: "\
        std_msgs/Header header\n\
        uint32 height\n\
        uint32 width\n\
        PointField[] fields\n\
        bool is_bigendian\n\
        uint32 point_step\n\
        uint32 row_step\n\
        uint8[] data\n\
        bool is_dense\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: sensor_msgs/PointField\n\
        string name\n\
        uint32 offset\n\
        uint8 datatype\n\
        uint32 count\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c00000040489014020000006c0000000100000002000000010000000200000078000000 \
        00000000070000000100000000000000040000000800000008000000010203040506070801",
};

pub const DIAG: Captured = Captured {
    ty: "diagnostic_msgs/DiagnosticArray",
    definition: "\
        std_msgs/Header header\n\
        DiagnosticStatus[] status\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: diagnostic_msgs/DiagnosticStatus\n\
        byte level\n\
        string name\n\
        string message\n\
        string hardware_id\n\
        KeyValue[] values\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec\n\
        ===\n\
        MSG: diagnostic_msgs/KeyValue\n\
        string key\n\
        string value",
    hex: "\
        000100000c0000004048901401000000000000000100000002bc0200060000006d6f746f7200a603 \
        04000000686f74000100000000bd64fb01000000020000007400651003000000393000",
};

pub const PARAM: Captured = Captured {
    ty: "rcl_interfaces/Parameter",
    definition: "\
        string name\n\
        ParameterValue value\n\
        ===\n\
        MSG: rcl_interfaces/ParameterValue\n\
        uint8 type\n\
        bool bool_value\n\
        int64 integer_value\n\
        float64 double_value\n\
        string string_value\n\
        byte[] byte_array_value\n\
        bool[] bool_array_value\n\
        int64[] integer_array_value\n\
        float64[] double_array_value\n\
        string[] string_array_value",
    hex: "\
        00010000050000006761696e00030000000000000000000000000000000000000000d03f01000000 \
        00000000010000000100000002000000010000000100000000000000ffffffffffffffff00000000 \
        0200000002000000610000000300000062630000000000",
};

pub const JOY: Captured = Captured {
    ty: "sensor_msgs/Joy",
    definition: "\
        std_msgs/Header header\n\
        float32[] axes\n\
        int32[] buttons\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c00000040489014020000006a007369020000000000003f000080bf0300000001000000 \
        0000000001000000",
};

pub const EMPTY: Captured =
    Captured { ty: "std_msgs/Empty", definition: "", hex: "0001000000550000" };

pub const TRAJ: Captured = Captured {
    ty: "trajectory_msgs/JointTrajectory",
    definition: "\
        std_msgs/Header header\n\
        string[] joint_names\n\
        JointTrajectoryPoint[] points\n\
        ===\n\
        MSG: std_msgs/Header\n\
        builtin_interfaces/Time stamp\n\
        string frame_id\n\
        ===\n\
        MSG: trajectory_msgs/JointTrajectoryPoint\n\
        float64[] positions\n\
        float64[] velocities\n\
        float64[] accelerations\n\
        float64[] effort\n\
        builtin_interfaces/Duration time_from_start\n\
        ===\n\
        MSG: builtin_interfaces/Time\n\
        int32 sec\n\
        uint32 nanosec\n\
        ===\n\
        MSG: builtin_interfaces/Duration\n\
        int32 sec\n\
        uint32 nanosec",
    hex: "\
        000100000c0000004048901402000000740000000100000002000000610000000100000001000000 \
        00000000000000000000f03f000000000000000000000000ffffffff050000000000000000000000 \
        00000000",
};

pub const WIDE: Captured = Captured {
    ty: "cdr_probe/Wide",
    definition: "\
        uint8 a\n\
        wstring w\n\
        uint8 b\n\
        wstring<=4 v\n\
        wstring[] many\n\
        wstring[2] two\n\
        string<=5[<=3] s\n\
        float64 end",
    hex: "\
        00010000015500000400000068000000e90000003dd8000000de0000025500000200000061000000 \
        620000000300000001000000780000000000000002000000790000007a0000000100000071000000 \
        0100000072000000020000000200000061006c4f0300000062630063000000000000f83f58050000 \
        70136c4f8c550000f0890f632f7f000074c1f6c45805000040176c4f",
};

pub const NEST: Captured = Captured {
    ty: "cdr_probe/Nest",
    definition: "\
        uint8 a\n\
        Nothing[] none\n\
        Nothing one\n\
        Nothing[3] three\n\
        float64 x\n\
        uint8 b\n\
        float64[] empty\n\
        uint8 c\n\
        Bounded[] bs\n\
        byte by\n\
        char ch\n\
        bool[3] flags\n\
        int64[2] fixed\n\
        ===\n\
        MSG: cdr_probe/Nothing\n\
        ===\n\
        MSG: cdr_probe/Bounded\n\
        uint8 a\n\
        string<=5 s\n\
        uint16[<=6] n",
    hex: "\
        00010000017f000002000000000000000000000000000000000000400300000000000000047f0000 \
        02000000017f00000200000078000000010000000500020006000000797979797900cb6400000000 \
        07090100017f000030dfcb64ffffffffffffffff0200000000000000",
};
