"""Line charts drawn with few artists."""
